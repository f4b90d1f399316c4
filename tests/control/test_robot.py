"""A robot's configuration against what a policy needs: it fits, or the reason is said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vlm_qsft.control import AxisAction, AxisLimits, CameraInput, ControlSettings, WorkspaceBox
from vlm_qsft.control.robot import POSE, AxisSettings, RobotSettings, fit_robot, limits_with_description
from vlm_qsft.control.state_sources import JointReading, StateReader, StateSource
from vlm_qsft.control.watchdog import VectorInput
from vlm_qsft.errors import InvalidSetting, ShapeMismatch, UnknownName
from vlm_qsft.policy import PolicyInterface

INTERFACE = PolicyInterface(("front",), ("place", "speed"), ("dx", "dz"), 0.2)
CONTROL = ControlSettings(period_s=0.05, step_s=0.2)


def axis(name: str, action: str, *, source: str = "", unit: str = "m", upper: float = 1.0) -> AxisSettings:
    limits = AxisLimits(name, unit, -upper, upper, 0.5, 5.0, goal_jump=0.5, measurement_jump=0.1)
    reads = AxisAction(name, action, "delta_from_goal", scale=0.1)
    return AxisSettings(limits, StateSource.parse(source or f"joint.{name}.position"), reads)


ROBOT = RobotSettings(
    axes=(axis("rail", "dx"), axis("z", "dz", source="pose.z")),
    cameras=(CameraInput("front", 0.3), CameraInput("over", 0.3)),
    state_sources=(StateSource.parse("joint.rail.position * 100"), StateSource.parse("joint.rail.velocity")),
    measurement_max_age_s=0.1,
)
JOINTS = JointReading({"rail": 0.25, "other": 9.0}, {"rail": -0.5}, {})
AT = np.array([0.0, 0.0, 0.125, 0.0, 0.0, 0.0])


class Mast:
    """Kinematics of one rail along x, 2 m up."""

    def forward(self, joints_rad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([joints_rad[0], 0.0, 2.0]), np.eye(3)

    def inverse(self, position_m: np.ndarray, rotation: np.ndarray, start_rad: np.ndarray) -> np.ndarray:
        return position_m[:1]


def test_state_and_measurement_come_from_their_sources() -> None:
    robot = fit_robot(ROBOT, INTERFACE, CONTROL)
    np.testing.assert_allclose(robot.measured(JOINTS, AT), [0.25, 0.125])
    state = robot.state_reader.read(JOINTS, measured=np.zeros(2), goal=np.zeros(2), pose=AT)
    assert state.dtype == np.float32
    np.testing.assert_allclose(state, [25.0, -0.5])


def test_the_pose_topic_is_watched_only_where_it_is_needed() -> None:
    assert VectorInput(POSE, 6, 0.1) in ROBOT.inputs
    without = replace(ROBOT, axes=(axis("rail", "dx"), axis("lift", "dz")))
    assert [watched.name for watched in without.inputs] == ["measurement", "front", "over"]
    assert without.joint_names == ("rail", "lift")


def test_a_camera_that_the_checkpoint_needs_and_the_robot_lacks_is_named() -> None:
    interface = replace(INTERFACE, cameras=("wrist",))
    with pytest.raises(UnknownName, match=r"Camera 'wrist'.*the checkpoint needs it. Valid: front, over"):
        fit_robot(ROBOT, interface, CONTROL)


def test_a_state_of_another_size_is_refused_with_its_names() -> None:
    with pytest.raises(InvalidSetting, match=r"has 1 numbers \(place\); state_sources names 2"):
        fit_robot(ROBOT, replace(INTERFACE, state_names=("place",)), CONTROL)


def test_an_action_of_the_checkpoint_that_moves_nothing_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="No axis uses the checkpoint's action dyaw"):
        fit_robot(ROBOT, replace(INTERFACE, action_names=("dx", "dz", "dyaw")), CONTROL)


def test_limits_in_degrees_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="'rail' goes from -170 to 170 rad: that must be degrees"):
        replace(ROBOT, axes=(axis("rail", "dx", unit="rad", upper=170.0), *ROBOT.axes[1:]))


def test_a_workspace_without_kinematics_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="need kinematics"):
        replace(ROBOT, workspace=WorkspaceBox((0, 0, 0), (1, 1, 1)))


def test_an_arm_outside_of_its_workspace_is_not_activated() -> None:
    box = WorkspaceBox((0.0, -1.0, 0.0), (0.2, 1.0, 3.0))
    settings = replace(ROBOT, kinematics=Mast(), arm_joints=("rail",), workspace=box, cameras=ROBOT.cameras[:1])
    controller = fit_robot(settings, INTERFACE, CONTROL).controller
    controller.receive_measurement(np.array([0.25, 0.125]), 1.0)
    controller.receive_vector(POSE, AT, 1.0)
    controller.receive_picture("front", np.arange(48, dtype=np.uint8).reshape(4, 4, 3), 1.0)
    with pytest.raises(Exception, match=r"would reach \(0.250, 0.000, 2.000\) m, outside the box"):
        controller.activate(1.0)


def test_sources_of_kinematics_read_the_measured_and_the_commanded_tool() -> None:
    sources = tuple(StateSource.parse(text) for text in ("tool.x", "commanded_tool.x", "commanded_tool.yaw * 2"))
    reader = StateReader(sources, tool_pose=lambda position: (np.array([position[0], 0, 0]), np.array([0, 0, 0.5])))
    state = reader.read(JOINTS, measured=np.array([0.1]), goal=np.array([0.2]), pose=None)
    np.testing.assert_allclose(state, [0.1, 0.2, 1.0])
    with pytest.raises(InvalidSetting, match="need kinematics"):
        StateReader(sources, tool_pose=None)


@pytest.mark.parametrize("name", ["joint.panda.joint1.effort", "joint.rail.position", "pose.roll"])
def test_a_source_keeps_dots_in_the_names_of_joints(name: str) -> None:
    source = StateSource.parse(name)
    parts = [source.kind, source.name, source.quantity]
    assert ".".join(part for part in parts if part) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gripper.x", "State source 'gripper'"),
        ("joint.rail", "must read joint.NAME.position"),
        ("joint.rail.angle", "Quantity 'angle'"),
        ("pose.front.x", "must read pose.x"),
        ("tool.x * fast", "'fast' is no number"),
    ],
)
def test_sources_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises((InvalidSetting, UnknownName), match=message):
        StateSource.parse(text)


def test_a_joint_or_a_pose_that_is_missing_is_an_error_and_no_zero() -> None:
    robot = fit_robot(ROBOT, INTERFACE, CONTROL)
    with pytest.raises(UnknownName, match=r"Joint position 'rail'.*Valid: other"):
        robot.measured(JointReading({"other": 1.0}, {}, {}), AT)
    with pytest.raises(ShapeMismatch, match="end-effector pose"):
        robot.measured(JOINTS, None)


def test_limits_are_the_descriptions_unless_narrower_ones_are_given() -> None:
    described = {"elbow": (-2.0, 2.0, 1.5)}
    assert limits_with_description("elbow", described, {}) == {"lower": -2.0, "upper": 2.0, "velocity": 1.5}
    assert limits_with_description("elbow", described, {"velocity": 0.5})["velocity"] == 0.5
    with pytest.raises(InvalidSetting, match=r"velocity 3 is wider than the robot description's 1.5"):
        limits_with_description("elbow", described, {"velocity": 3.0})
    with pytest.raises(InvalidSetting, match=r"lower -2.5 is wider"):
        limits_with_description("elbow", described, {"lower": -2.5})


def test_limits_that_nobody_gives_are_missed() -> None:
    with pytest.raises(InvalidSetting, match="'elbow' needs lower, upper"):
        limits_with_description("elbow", {}, {"velocity": 1.0})
    with pytest.raises(InvalidSetting, match="needs velocity"):
        limits_with_description("elbow", {"elbow": (-math.inf, math.inf, None)}, {})
