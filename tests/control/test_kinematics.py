"""Rotations, and URDF kinematics against a planar arm whose equations stand here."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_qsft.control.kinematics import (
    rotation_from_quaternion,
    rotation_from_turn,
    rotation_vector,
    turn_from_rotation,
)
from vlm_qsft.control.urdf import UrdfKinematics, parse_urdf
from vlm_qsft.errors import InvalidSetting, UnknownName

angles = st.floats(-1.5, 1.5)
URDF = """
<robot name="planar">
  <link name="base"/> <link name="upper"/> <link name="lower"/> <link name="hand"/> <link name="slide"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/> <child link="upper"/> <origin xyz="0 0 0.1"/> <axis xyz="0 0 1"/>
    <limit lower="-2" upper="2" velocity="1.5" effort="10"/>
  </joint>
  <joint name="elbow" type="continuous">
    <parent link="upper"/> <child link="lower"/> <origin xyz="0.4 0 0"/> <axis xyz="0 0 2"/>
  </joint>
  <joint name="wrist" type="fixed">
    <parent link="lower"/> <child link="hand"/> <origin xyz="0.3 0 0" rpy="3.141592653589793 0 0"/>
  </joint>
  <joint name="rail" type="prismatic">
    <parent link="hand"/> <child link="slide"/> <axis xyz="0 0 1"/> <limit lower="0" upper="0.2" velocity="0.1"/>
  </joint>
</robot>
"""


def planar(shoulder: float, elbow: float, rail: float) -> np.ndarray:
    """Place of the slide: two bars of 0.4 and 0.3 m, then down along the turned hand."""
    x = 0.4 * math.cos(shoulder) + 0.3 * math.cos(shoulder + elbow)
    y = 0.4 * math.sin(shoulder) + 0.3 * math.sin(shoulder + elbow)
    return np.array([x, y, 0.1 - rail])


def arm() -> UrdfKinematics:
    return UrdfKinematics(parse_urdf(URDF), base_link="base", tool_link="slide")


@given(angles, angles, angles)
def test_a_turn_comes_back_from_its_rotation(roll: float, pitch: float, yaw: float) -> None:
    turn = np.array([roll, pitch, yaw])
    np.testing.assert_allclose(turn_from_rotation(rotation_from_turn(turn)), turn, atol=1e-7)


def test_at_the_gimbal_lock_the_rotation_is_kept_though_roll_is_taken_as_zero() -> None:
    rotation = rotation_from_turn(np.array([0.3, math.pi / 2, 0.8]))
    np.testing.assert_allclose(rotation_from_turn(turn_from_rotation(rotation)), rotation, atol=1e-7)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 0.7, math.pi - 1e-3, math.pi])
def test_a_rotation_vector_is_axis_times_angle(angle: float) -> None:
    axis = np.array([2.0, -1.0, 2.0]) / 3.0
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    vector = rotation_vector(rotation)
    assert np.linalg.norm(vector) == pytest.approx(angle, abs=1e-6)
    assert abs(vector @ axis) == pytest.approx(angle, abs=1e-6)  # half a turn is the same about the opposite axis


def test_a_quaternion_of_ninety_degrees_about_z_turns_x_to_y() -> None:
    rotation = rotation_from_quaternion(0.0, 0.0, 2.0, 2.0)
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@given(angles, angles, st.floats(0, 0.2))
def test_forward_kinematics_of_a_description_is_that_of_the_planar_arm(shoulder, elbow, rail) -> None:
    place, rotation = arm().forward(np.array([shoulder, elbow, rail]))
    np.testing.assert_allclose(place, planar(shoulder, elbow, rail), atol=1e-12)
    np.testing.assert_allclose(rotation, rotation_from_turn(np.array([math.pi, 0, shoulder + elbow])), atol=1e-9)


@given(st.floats(-1.2, 1.2), st.floats(0.3, 1.5), st.floats(0.02, 0.18))
def test_inverse_kinematics_finds_the_joints_of_a_pose_nearby(shoulder, elbow, rail) -> None:
    joints = np.array([shoulder, elbow, rail])
    place, rotation = arm().forward(joints)
    found = arm().inverse(place, rotation, joints + np.array([0.1, -0.1, 0.01]))
    np.testing.assert_allclose(arm().forward(found)[0], place, atol=1e-3)


def test_the_description_gives_limits_and_none_to_a_continuous_joint() -> None:
    joints = parse_urdf(URDF)
    assert (joints["shoulder"].lower, joints["shoulder"].upper, joints["shoulder"].velocity) == (-2.0, 2.0, 1.5)
    assert (joints["elbow"].lower, joints["elbow"].upper, joints["elbow"].velocity) == (-math.inf, math.inf, None)
    assert arm().joint_names == ("shoulder", "elbow", "rail")


def test_descriptions_that_cannot_be_read_are_refused_with_the_reason() -> None:
    with pytest.raises(InvalidSetting, match="no XML"):
        parse_urdf("<robot>")
    with pytest.raises(InvalidSetting, match="begins with <sdf>"):
        parse_urdf("<sdf/>")
    with pytest.raises(InvalidSetting, match=r"'shoulder'.*needs <limit>"):
        parse_urdf(URDF.replace('<limit lower="-2" upper="2" velocity="1.5" effort="10"/>', ""))
    with pytest.raises(InvalidSetting, match="'0 0' are not three numbers"):
        parse_urdf(URDF.replace('xyz="0 0 0.1"', 'xyz="0 0"'))


def test_a_chain_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"Link 'tool0'.*Valid: hand, lower, slide, upper"):
        UrdfKinematics(parse_urdf(URDF), base_link="base", tool_link="tool0")
    with pytest.raises(InvalidSetting, match="'hand' does not carry 'lower': the chain ends at 'base'"):
        UrdfKinematics(parse_urdf(URDF), base_link="hand", tool_link="lower")
