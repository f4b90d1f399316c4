"""What ties the joints of an arm to the pose of its tool, and the angles in which a pose is turned."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Float64

Rotation = Float64[np.ndarray, "3 3"]
Vector = Float64[np.ndarray, " 3"]


class Kinematics(Protocol):
    """Forward and inverse kinematics of an arm without its gripper."""

    def forward(self, joints_rad: Float64[np.ndarray, " joint"]) -> tuple[Vector, Rotation]:
        """Return position (m) and orientation of the tool in the frame of the arm's base."""
        ...

    def inverse(
        self, position_m: Vector, rotation: Rotation, start_rad: Float64[np.ndarray, " joint"]
    ) -> Float64[np.ndarray, " joint"]:
        """Return joint positions near `start_rad` that bring the tool to a pose, or as near to it as they get."""
        ...


def rotation_from_turn(turn_rad: Vector) -> Rotation:
    """Return Rz(yaw) Ry(pitch) Rx(roll) of (roll, pitch, yaw), the fixed-axis angles of REP-103."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(turn_rad), np.sin(turn_rad)
    return np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )


def turn_from_rotation(rotation: Rotation) -> Vector:
    """Return (roll, pitch, yaw) of a rotation; at a pitch of +-90 degrees the roll is taken as zero."""
    pitch = np.arcsin(np.clip(-rotation[2, 0], -1.0, 1.0))
    if abs(rotation[2, 0]) > 1 - 1e-9:
        return np.array([0.0, pitch, np.arctan2(-rotation[0, 1], rotation[1, 1])])
    return np.array([np.arctan2(rotation[2, 1], rotation[2, 2]), pitch, np.arctan2(rotation[1, 0], rotation[0, 0])])


def rotation_vector(rotation: Rotation) -> Vector:
    """Return axis times angle (rad, at most pi) of a rotation."""
    sine = 0.5 * np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    cosine, length = (np.trace(rotation) - 1) / 2, float(np.linalg.norm(sine))
    angle = np.arctan2(length, cosine)
    if length > 1e-9:
        return sine * (angle / length)
    if cosine > 0:
        return sine
    # Half a turn: the sine vanishes, the axis is the column of (R + I) / 2 that is longest.
    square = (rotation + np.eye(3)) / 2
    column = square[:, int(np.argmax(np.diag(square)))]
    return np.pi * column / np.linalg.norm(column)


def rotation_from_quaternion(x: float, y: float, z: float, w: float) -> Rotation:
    """Return the rotation of a quaternion in the order of geometry_msgs; any length but zero."""
    x, y, z, w = np.array([x, y, z, w]) / np.sqrt(x * x + y * y + z * z + w * w)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
