"""The arm's kinematics against the published link lengths, written as plain matrices."""

from __future__ import annotations

import numpy as np
import pytest

from qsft_sim.kinematics import ArmKinematics
from qsft_sim.model import HOME_JOINTS_RAD
from vlm_qsft.control.kinematics import rotation_from_turn

# Modified Denavit-Hartenberg table of the Franka Panda: a, d, alpha of joints 1 to 7 (Franka's documentation).
PANDA = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -np.pi / 2),
    (0.0, 0.316, np.pi / 2),
    (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0.0, 0.0, np.pi / 2),
    (0.088, 0.0, np.pi / 2),
)
# From the last joint: flange 0.107 m, tool another 0.1034 m, hand turned by -45 degrees.
TOOL_DISTANCE_M = 0.107 + 0.1034


def tool_position_by_matrices(joints_rad: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    for (a, d, alpha), theta in zip(PANDA, joints_rad, strict=True):
        ct, st, ca, sa = np.cos(theta), np.sin(theta), np.cos(alpha), np.sin(alpha)
        pose = pose @ np.array(
            [[ct, -st, 0, a], [st * ca, ct * ca, -sa, -d * sa], [st * sa, ct * sa, ca, d * ca], [0, 0, 0, 1]]
        )
    return (pose @ np.array([0, 0, TOOL_DISTANCE_M, 1]))[:3]


@pytest.mark.parametrize("seed", range(5))
def test_the_tool_is_where_the_panda_has_it(seed: int) -> None:
    joints = HOME_JOINTS_RAD + np.random.default_rng(seed).uniform(-0.5, 0.5, 7)
    position, _ = ArmKinematics().forward(joints)
    np.testing.assert_allclose(position, tool_position_by_matrices(joints), atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_inverse_kinematics_brings_the_tool_within_a_millimetre_of_any_pose_over_the_table(seed: int) -> None:
    generator = np.random.default_rng(seed)
    arm = ArmKinematics()
    position = generator.uniform([0.36, -0.24, 0.02], [0.64, 0.24, 0.2])
    rotation = rotation_from_turn(np.array([0, 0, generator.uniform(-0.7, 0.7)])) @ np.diag([1.0, -1.0, -1.0])
    joints = HOME_JOINTS_RAD
    for _ in range(4):  # a control step moves 5 cm; a whole table away may take more iterations than one call has
        joints = arm.inverse(position, rotation, joints)
    reached, turned = arm.forward(joints)
    assert np.linalg.norm(reached - position) < 1e-3
    assert np.trace(turned.T @ rotation) > 3 - 1e-4


def test_inverse_kinematics_depends_on_its_arguments_alone() -> None:
    arm = ArmKinematics()
    rotation = np.diag([1.0, -1.0, -1.0])
    first = arm.inverse(np.array([0.5, 0.1, 0.1]), rotation, HOME_JOINTS_RAD)
    arm.inverse(np.array([0.4, -0.2, 0.3]), rotation, HOME_JOINTS_RAD)
    np.testing.assert_array_equal(arm.inverse(np.array([0.5, 0.1, 0.1]), rotation, HOME_JOINTS_RAD), first)


def test_roll_pitch_yaw_are_applied_in_that_order_about_fixed_axes() -> None:
    roll, pitch, yaw = 0.3, -0.2, 0.7
    about_x = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
    about_y = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    np.testing.assert_allclose(
        rotation_from_turn(np.array([roll, pitch, yaw])), about_z @ about_y @ about_x, atol=1e-12
    )
