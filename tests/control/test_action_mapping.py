"""Actions become goals of axes: kinds, scales, clipping, and complete mappings only."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.control import ActionMapping, AxisAction
from vlm_qsft.errors import InvalidSetting, UnknownName

from .rig import LIMITS, MAPPING

GOAL = np.array([0.1, 0.5, 1.0])
MEASURED = np.array([0.08, 0.4, 1.0])


def test_each_kind_of_action_counts_from_its_own_base():
    goals = MAPPING.goals(np.array([[1.0, -1.0, -1.0]]), goal=GOAL, measured=MEASURED)
    # slide: 0.1 + 0.05 from the goal; turn: 0.4 - 0.25 from the measurement; gripper as it is.
    assert goals == pytest.approx(np.array([[0.15, 0.15, -1.0]]))


def test_the_deltas_of_a_chunk_add_up():
    goals = MAPPING.goals(np.array([[1, 1, 1], [1, 0, 1], [-2, 1, -1]], np.float32), goal=GOAL, measured=MEASURED)
    assert goals[:, 0] == pytest.approx([0.15, 0.20, 0.10])
    assert goals[:, 1] == pytest.approx([0.65, 0.65, 0.90])


def test_a_goal_pushed_against_a_limit_leaves_it_with_the_first_step_back():
    goals = MAPPING.goals(np.array([[9.0, 0, 0], [9.0, 0, 0], [-1.0, 0, 0]]), goal=GOAL, measured=MEASURED)
    assert goals[:, 0] == pytest.approx([0.5, 0.5, 0.45])


def test_an_offset_and_a_scale_turn_a_normalised_action_into_axis_units():
    mapping = ActionMapping(
        ("a", "b", "c"),
        (
            AxisAction("slide", "c", "absolute", scale=0.5),
            AxisAction("turn", "a", "absolute", scale=2.0, offset=-1.0),
            AxisAction("gripper", "b", "absolute"),
        ),
        LIMITS,
    )
    assert mapping.goals(np.array([[1.5, 1.0, -0.4]]), goal=GOAL, measured=MEASURED) == pytest.approx(
        np.array([[-0.2, 2.0, 1.0]])
    )


def test_an_unknown_axis_is_named_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'slide'"):
        ActionMapping(("dx",), (AxisAction("slid", "dx", "absolute"),), LIMITS)


def test_an_unknown_action_is_named():
    with pytest.raises(UnknownName, match="'dy' is not known in the checkpoint"):
        ActionMapping(("dx",), (AxisAction("slide", "dy", "absolute"),), LIMITS)


def test_an_axis_without_an_action_is_refused():
    with pytest.raises(InvalidSetting, match="exactly one action"):
        ActionMapping(("dx",), (AxisAction("slide", "dx", "absolute"),), LIMITS)


def test_an_action_that_drives_nothing_is_refused():
    with pytest.raises(InvalidSetting, match="No axis uses the checkpoint's action dz"):
        ActionMapping(("dx", "dturn", "gripper", "dz"), MAPPING.axis_actions, LIMITS)


@pytest.mark.parametrize("change", [{"scale": 0.0}, {"scale": float("nan")}, {"offset": float("inf")}])
def test_a_scale_that_maps_to_nothing_is_refused(change):
    with pytest.raises(InvalidSetting, match="slide"):
        AxisAction("slide", "dx", "absolute", **change)


def test_an_unknown_kind_lists_the_kinds():
    with pytest.raises(UnknownName, match="delta_from_goal"):
        AxisAction("slide", "dx", "delta")  # type: ignore[arg-type]
