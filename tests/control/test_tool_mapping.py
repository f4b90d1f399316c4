"""Actions of the tool become goals of the joints: on an arm whose kinematics is written out here by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlm_qsft.control import AxisAction, AxisLimits, RobotLimits, WorkspaceBox
from vlm_qsft.control.tool_mapping import ToolAction, ToolActionMapping
from vlm_qsft.errors import InvalidSetting, UnknownName, Unreachable

ACTIONS = ("dx", "dy", "dz", "dyaw", "gripper")
DOWN = np.diag([1.0, -1.0, -1.0])


class Gantry:
    """Three rails and a wrist: joints are x, y, z in metres and the yaw of a tool that points down."""

    def __init__(self, *, error_m: float = 0.0) -> None:
        self.error_m = error_m

    def forward(self, joints_rad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        yaw = joints_rad[3]
        turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1.0]])
        return joints_rad[:3].copy(), turn @ DOWN

    def inverse(self, position_m: np.ndarray, rotation: np.ndarray, start_rad: np.ndarray) -> np.ndarray:
        yaw = math.atan2(rotation[1, 0], rotation[0, 0])
        return np.array([position_m[0] + self.error_m, position_m[1], position_m[2], yaw])


def axis(name: str, lower: float, upper: float) -> AxisLimits:
    return AxisLimits(name, "m", lower, upper, 1.0, 10.0, goal_jump=1.0, measurement_jump=1.0)


LIMITS = RobotLimits(
    (axis("x", -2, 2), axis("finger", 0.0, 0.04), axis("y", -2, 2), axis("z", -2, 2), axis("yaw", -3, 3))
)
BOX = WorkspaceBox((0.0, -1.0, 0.0), (1.0, 1.0, 0.5))
TOOL = ToolAction(
    move=("dx", "dy", "dz"),
    turn=("", "", "dyaw"),
    move_scale_m=0.05,
    turn_scale_rad=0.25,
    reference_turn_rad=(math.pi, 0.0, 0.0),
    largest_turn_rad=(0.5, 0.5, 1.0),
    workspace=BOX,
)
FINGER = AxisAction("finger", "gripper", "switch", interpolation="step")
START = np.array([0.5, 0.0, 0.2, 0.3, 0.1])  # x, finger, y, z, yaw


def mapping(kinematics: Gantry | None = None, **changes) -> ToolActionMapping:
    settings = {
        "action_names": ACTIONS,
        "tool": TOOL,
        "arm_joints": ("x", "y", "z", "yaw"),
        "axis_actions": (FINGER,),
        "limits": LIMITS,
        "kinematics": kinematics or Gantry(),
    }
    return ToolActionMapping(**{**settings, **changes})


def goals(tool: ToolActionMapping, *rows: list[float], start: np.ndarray = START) -> np.ndarray:
    return tool.goals(np.array(rows, dtype=np.float32), goal=start, measured=start)


def test_a_move_is_added_to_the_commanded_pose_and_the_gripper_goes_to_its_end() -> None:
    reached = goals(mapping(), [1.0, -2.0, 0.5, 0.4, 0.3])
    np.testing.assert_allclose(reached, [[0.55, 0.04, 0.1, 0.325, 0.2]], atol=1e-6)


def test_steps_of_a_chunk_add_up_and_a_closing_gripper_goes_to_its_lower_end() -> None:
    reached = goals(mapping(), [1, 0, 0, 0, -1], [1, 0, 0, 1, -0.1])
    np.testing.assert_allclose(reached[:, 0], [0.55, 0.6], atol=1e-6)
    np.testing.assert_allclose(reached[:, 1], [0.0, 0.0])
    np.testing.assert_allclose(reached[:, 4], [0.1, 0.35], atol=1e-6)


def test_the_commanded_tool_stays_in_the_workspace_and_comes_back_with_the_first_step_the_other_way() -> None:
    reached = goals(mapping(), [20, 0, 0, 0, 1], [-1, 0, 0, 0, 1])
    np.testing.assert_allclose(reached[:, 0], [1.0, 0.95], atol=1e-6)


def test_a_turn_stops_at_its_largest_angle() -> None:
    np.testing.assert_allclose(goals(mapping(), [0, 0, 0, 10, 1])[:, 4], [1.0], atol=1e-6)


def test_the_pose_of_a_goal_is_remembered_so_that_an_inexact_inverse_does_not_add_up() -> None:
    tool = mapping(Gantry(error_m=0.01))
    position = START
    for _ in range(5):
        position = goals(tool, [1, 0, 0, 0, 1], start=position)[0]
    # 0.5 + 5 * 0.05, and the error of one inverse, not of five
    assert position[0] == pytest.approx(0.76, abs=1e-6)


def test_a_pose_that_cannot_be_reached_is_an_error_and_no_goal() -> None:
    with pytest.raises(Unreachable, match=r"cannot reach \(0.550, 0.200, 0.300\) m: the nearest is 0.100 m away"):
        goals(mapping(Gantry(error_m=0.1)), [1, 0, 0, 0, 1])


def test_joints_are_interpolated_and_a_stepping_gripper_is_not() -> None:
    assert mapping().linear.tolist() == [True, False, True, True, True]


def test_every_action_and_every_axis_needs_its_partner() -> None:
    with pytest.raises(InvalidSetting, match="driven: none"):
        mapping(axis_actions=())
    with pytest.raises(InvalidSetting, match="No axis uses the checkpoint's action droll"):
        mapping(action_names=(*ACTIONS, "droll"))
    with pytest.raises(UnknownName, match="'dyaw' is not known in the checkpoint"):
        mapping(action_names=("dx", "dy", "dz", "gripper"))
    with pytest.raises(UnknownName, match="Axis 'elbow'"):
        mapping(arm_joints=("x", "y", "z", "elbow"))


def test_a_switch_without_ends_is_refused() -> None:
    endless = RobotLimits((*LIMITS.axes[:1], axis("finger", -math.inf, math.inf), *LIMITS.axes[2:]))
    with pytest.raises(InvalidSetting, match="'finger' is a switch"):
        mapping(limits=endless)
