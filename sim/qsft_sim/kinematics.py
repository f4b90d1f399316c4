"""Inverse kinematics of the arm by damped least squares, on a model of the arm alone."""

# MuJoCo ships no type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from qsft_sim.engine import mujoco
from qsft_sim.model import HOME_JOINTS_RAD, N_JOINTS, TOOL_SITE, build_model

# Half a millimetre and a tenth of a degree: well under the 8 mm at which a grasp begins to miss.
_POSITION_TOLERANCE_M = 5e-4
_ROTATION_TOLERANCE_RAD = 2e-3
_MAX_ITERATIONS = 25
_DAMPING = 1e-4
_POSTURE_GAIN = 0.1
_MAX_JOINT_STEP_RAD = 0.3

Vector = Float64[np.ndarray, " 3"]
Rotation = Float64[np.ndarray, "3 3"]
Joints = Float64[np.ndarray, " 7"]


def rotation_from_roll_pitch_yaw(roll_rad: float, pitch_rad: float, yaw_rad: float) -> Rotation:
    """Return Rz(yaw) Ry(pitch) Rx(roll)."""
    cx, sx = np.cos(roll_rad), np.sin(roll_rad)
    cy, sy = np.cos(pitch_rad), np.sin(pitch_rad)
    cz, sz = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )


class ArmKinematics:
    """Forward and inverse kinematics of the tool, independent of any simulation."""

    def __init__(self) -> None:
        self._model = build_model(objects=False)
        self._state = mujoco.MjData(self._model)
        self._site = self._model.site(TOOL_SITE).id
        self._jacobian = np.zeros((6, self._model.nv))
        self._low, self._high = self._model.jnt_range[:N_JOINTS].T.copy()

    def forward(self, joints_rad: Joints) -> tuple[Vector, Rotation]:
        """Return position (m) and orientation of the tool in the frame of the arm's base."""
        self._state.qpos[:N_JOINTS] = joints_rad
        mujoco.mj_kinematics(self._model, self._state)
        return self._state.site_xpos[self._site].copy(), self._state.site_xmat[self._site].reshape(3, 3).copy()

    def inverse(self, position_m: Vector, rotation: Rotation, start_rad: Joints) -> Joints:
        """Return joint angles near `start_rad` that bring the tool to a pose, or as near to it as they got.

            dq = J^T (J J^T + lambda I)^-1 e + (I - J^+ J) k (q_home - q)

        The second term keeps the elbow up without moving the tool. Deterministic: no state survives the call.
        """
        joints = np.array(start_rad, dtype=np.float64)
        for _ in range(_MAX_ITERATIONS):
            position, current = self.forward(joints)
            position_error = position_m - position
            turn = rotation @ current.T
            rotation_error = 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
            if (
                position_error @ position_error < _POSITION_TOLERANCE_M**2
                and rotation_error @ rotation_error < _ROTATION_TOLERANCE_RAD**2
            ):
                break
            mujoco.mj_comPos(self._model, self._state)
            mujoco.mj_jacSite(self._model, self._state, self._jacobian[:3], self._jacobian[3:], self._site)
            jacobian = self._jacobian[:, :N_JOINTS]
            inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + _DAMPING * np.eye(6))
            posture = _POSTURE_GAIN * (HOME_JOINTS_RAD - joints)
            step = inverse @ (np.concatenate([position_error, rotation_error]) - jacobian @ posture) + posture
            joints = np.clip(joints + np.clip(step, -_MAX_JOINT_STEP_RAD, _MAX_JOINT_STEP_RAD), self._low, self._high)
        return joints
