"""Success and wrong objects, judged on hand-made states."""

from __future__ import annotations

import numpy as np
import pytest

from qsft_sim.tasks import TableState, handled_objects, is_near, is_picked_up, task_named, wrongly_handled
from vlm_qsft.errors import UnknownName

START = np.array([[0.4, 0.0, 0.02], [0.6, 0.1, 0.02]])


def state(
    positions: list[list[float]],
    *,
    tool: tuple[float, float, float] = (0.4, 0.0, 0.2),
    speed: float = 0.0,
    gripper_open: bool = True,
) -> TableState:
    return TableState(
        object_position_m=np.array(positions),
        object_start_m=START,
        object_speed_m_s=np.array([speed, 0.0]),
        tool_position_m=np.array(tool),
        gripper_open=gripper_open,
    )


def test_an_object_seven_centimetres_up_in_the_gripper_is_picked_up() -> None:
    assert is_picked_up(state([[0.4, 0, 0.09], [0.6, 0.1, 0.02]], tool=(0.4, 0, 0.09)), 0, 1)


def test_an_object_five_centimetres_up_is_not_picked_up_yet() -> None:
    assert not is_picked_up(state([[0.4, 0, 0.07], [0.6, 0.1, 0.02]], tool=(0.4, 0, 0.07)), 0, 1)


def test_an_object_thrown_into_the_air_is_not_picked_up() -> None:
    assert not is_picked_up(state([[0.4, 0, 0.12], [0.6, 0.1, 0.02]], tool=(0.5, 0, 0.12)), 0, 1)


def test_picking_up_another_object_is_no_success_but_a_wrong_object() -> None:
    lifted = state([[0.4, 0, 0.02], [0.6, 0.1, 0.1]], tool=(0.6, 0.1, 0.1))
    assert not is_picked_up(lifted, 0, 1)
    assert wrongly_handled(lifted, 0) == (1,)
    assert wrongly_handled(lifted, 1) == ()


NEAR = [[0.6, 0.02, 0.02], [0.6, 0.1, 0.02]]


def test_an_object_put_down_eight_centimetres_from_the_reference_is_near() -> None:
    assert is_near(state(NEAR), 0, 1)


@pytest.mark.parametrize(
    ("why", "changed"),
    [
        ("still in the closed gripper", {"gripper_open": False}),
        ("still rolling", {"speed": 0.2}),
        ("the tool is still around it", {"tool": (0.6, 0.02, 0.03)}),
    ],
)
def test_an_object_is_not_near_while_it_is_not_let_go(why: str, changed: dict) -> None:
    assert not is_near(state(NEAR, **changed), 0, 1), why


def test_an_object_held_above_the_reference_is_not_near() -> None:
    assert not is_near(state([[0.6, 0.02, 0.1], [0.6, 0.1, 0.02]]), 0, 1)


def test_an_object_eleven_centimetres_away_is_not_near() -> None:
    assert not is_near(state([[0.6, -0.01, 0.02], [0.6, 0.1, 0.02]]), 0, 1)


def test_carrying_the_reference_to_the_target_does_not_follow_the_instruction() -> None:
    carried = state([[0.4, 0.0, 0.02], [0.4, 0.08, 0.02]])
    assert not is_near(carried, 0, 1)
    assert wrongly_handled(carried, 0) == (1,)


def test_an_object_brushed_by_a_finger_does_not_count_as_handled() -> None:
    assert handled_objects(state([[0.42, 0.03, 0.02], [0.6, 0.1, 0.02]])) == ()


def test_an_object_pushed_seven_centimetres_counts_as_handled() -> None:
    assert handled_objects(state([[0.4, 0.0, 0.02], [0.67, 0.1, 0.02]])) == (1,)


def test_an_unknown_task_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'pick'"):
        task_named("pik")
