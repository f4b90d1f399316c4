"""Parameters become a robot: a tool-driven arm from a description, and every contradiction is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from qsft_controller.controller_parameters import control_settings, declare_controller, robot_settings
from qsft_controller.policy_source import load_policy
from vlm_qsft.control.robot import RobotSettings
from vlm_qsft.errors import InvalidSetting, QsftError

pytestmark = pytest.mark.usefixtures("ros")

URDF = """<robot name="r"><link name="base"/><link name="a"/><link name="b"/><link name="tool"/>
<joint name="lift" type="prismatic"><parent link="base"/><child link="a"/><axis xyz="0 0 1"/>
  <limit lower="0" upper="0.5" velocity="0.4"/></joint>
<joint name="turn" type="revolute"><parent link="a"/><child link="b"/><axis xyz="0 0 1"/>
  <limit lower="-2" upper="2" velocity="1"/></joint>
<joint name="flange" type="fixed"><parent link="b"/><child link="tool"/><origin xyz="0.3 0 0"/></joint></robot>"""
TOOL = {
    "axes": ["lift", "turn", "finger"],
    "cameras": ["front"],
    "state_sources": ["commanded_tool.z", "joint.finger.position * 0.5"],
    "robot_description": URDF,
    "kinematics": "urdf",
    "base_link": "base",
    "tool_link": "tool",
    "arm_joints": ["lift", "turn"],
    "tool.move": ["dx", "dy", "dz"],
    "tool.move_scale_m": 0.05,
    "workspace.lower_m": [0.0, -0.3, 0.1],
    "workspace.upper_m": [0.3, 0.3, 0.4],
    "axis.finger.unit": "m",
    "axis.finger.lower": 0.0,
    "axis.finger.upper": 0.04,
    "axis.finger.velocity": 0.2,
    "axis.finger.action": "gripper",
    "axis.finger.kind": "switch",
    "axis.turn.velocity": 0.5,
}


@contextmanager
def node(**changes: object) -> Iterator[Node]:
    values = {**TOOL, **{name.replace("__", "."): value for name, value in changes.items()}}
    overrides = [Parameter(name, value=value) for name, value in values.items() if value is not None]
    made = Node("parameters", parameter_overrides=overrides)
    try:
        declare_controller(made)
        yield made
    finally:
        made.destroy_node()


def robot(**changes: object) -> RobotSettings:
    with node(**changes) as made:
        return robot_settings(made)


def test_limits_come_from_the_description_and_narrower_ones_from_the_parameters() -> None:
    settings = robot()
    assert settings.limits.names == ("lift", "turn", "finger")
    np.testing.assert_allclose(settings.limits.lower, [0.0, -2.0, 0.0])
    np.testing.assert_allclose(settings.limits.upper, [0.5, 2.0, 0.04])
    np.testing.assert_allclose(settings.limits.velocity, [0.4, 0.5, 0.2])
    assert settings.arm_joints == ("lift", "turn")
    assert settings.tool is not None
    assert settings.tool.turn == ("", "", "")
    assert [source.scale for source in settings.state_sources] == [1.0, 0.5]
    assert settings.kinematics is not None
    np.testing.assert_allclose(settings.kinematics.forward(np.array([0.2, math.pi / 2]))[0], [0, 0.3, 0.2], atol=1e-12)


def test_the_commanded_tool_stays_in_the_workspace_and_the_arm_holds_a_margin_outside_of_it() -> None:
    settings = robot(workspace__margin_m=0.05)
    assert settings.tool is not None and settings.workspace is not None
    assert settings.tool.workspace.upper_m == (0.3, 0.3, 0.4)
    assert settings.workspace.upper_m == pytest.approx((0.35, 0.35, 0.45))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis__turn__velocity": 3.0}, "velocity 3 is wider"),
        ({"arm_joints": ["turn", "lift"]}, "must be the joints of the chain, in its order: lift, turn"),
        ({"tool__move": ["dx", "dy"]}, "3 names each"),
        ({"workspace__lower_m": [0.0]}, "and a workspace"),
        ({"robot_description": "<robot", "axes": ["lift"]}, "no XML"),
        ({"robot_description": None, "kinematics": None, "urdf_path": "nowhere.urdf"}, "names no file: nowhere.urdf"),
        ({"kinematics": "no_such_module:Arm"}, "cannot be imported"),
        ({"kinematics": "math:Arm"}, "module math has no 'Arm'"),
        ({"kinematics": "Arm"}, "as MODULE:NAME, got 'Arm'"),
        ({"axis__finger__kind": "swich"}, "Did you mean 'switch'"),
        ({"state_sources": ["joint.finger"]}, "must read joint.NAME.position"),
        ({"axis__finger__action": ""}, "'finger' needs an action"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(QsftError, match=message):
        robot(**changes)


def test_timing_is_the_policys_unless_it_is_given() -> None:
    with node(min_value=-1.0) as made:
        settings = control_settings(made, 0.2)
    assert (settings.step_s, settings.min_value, settings.while_thinking) == (0.2, None, "wait")
    with node(step_s=0.1, min_value=0.3, while_thinking="continue") as made:
        settings = control_settings(made, 0.2)
    assert (settings.step_s, settings.min_value, settings.while_thinking) == (0.1, 0.3, "continue")


def test_a_policy_is_named_once_and_says_what_it_needs() -> None:
    with pytest.raises(InvalidSetting, match="Name one of the parameters 'checkpoint', "):
        load_policy(checkpoint="", policy="", device="cpu", explain=False)
    with pytest.raises(InvalidSetting, match="has no PolicyInterface"):
        load_policy(checkpoint="", policy="builtins:object", device="cpu", explain=False)
    assert load_policy(checkpoint="", policy="slide_policy:make", device="cpu", explain=False).interface.step_s == 0.1
