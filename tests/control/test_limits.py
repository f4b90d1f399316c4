"""Limits that make no sense are refused with the axis and the number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vlm_qsft.control import ControlSettings, RobotLimits
from vlm_qsft.errors import InvalidSetting, UnknownName

from .rig import GRIPPER, LIMITS, SLIDE, TURN

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "change",
    [
        {"lower": 0.5},
        {"upper": NAN},
        {"velocity": 0.0},
        {"velocity": INF},
        {"acceleration": -1.0},
        {"goal_jump": 0.0},
        {"measurement_jump": NAN},
        {"measurement_tolerance": -0.1},
    ],
)
def test_a_limit_out_of_its_own_range_is_refused_with_the_axis(change):
    with pytest.raises(InvalidSetting, match="slide"):
        replace(SLIDE, **change)


def test_limits_become_columns_in_the_order_of_the_axes():
    assert LIMITS.names == ("slide", "turn", "gripper")
    assert LIMITS.velocity == pytest.approx([0.6, 2.0, 20.0])
    assert LIMITS.index("turn") == 1


def test_an_unknown_axis_lists_the_axes():
    with pytest.raises(UnknownName, match="gripper, slide, turn"):
        LIMITS.index("wrist")


def test_two_axes_of_one_name_and_no_axis_at_all_are_refused():
    with pytest.raises(InvalidSetting, match="name of its own"):
        RobotLimits((SLIDE, TURN, GRIPPER, SLIDE))
    with pytest.raises(InvalidSetting, match="at least one axis"):
        RobotLimits(())


@pytest.mark.parametrize(
    "change",
    [
        {"period_s": 0.0},
        {"step_s": NAN},
        {"execute_steps": 0},
        {"decision_timeout_s": -1.0},
        {"max_tick_gap_s": 0.01},
        {"min_value": 1.5},
    ],
)
def test_a_control_setting_out_of_its_range_is_refused(change):
    with pytest.raises(InvalidSetting):
        ControlSettings(**{"period_s": 0.1, "step_s": 0.2, **change})


def test_an_unknown_way_of_thinking_lists_the_two():
    with pytest.raises(UnknownName, match="continue, wait"):
        ControlSettings(period_s=0.1, step_s=0.2, while_thinking="sleep")  # type: ignore[arg-type]
