"""The set point between the steps of a chunk."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.control.motion_plan import plan_through

GOALS = np.array([[0.1, 1.0], [0.3, 1.0], [0.2, -1.0]])
TIMES = np.array([10.2, 10.4, 10.6])


def plan():
    return plan_through(GOALS, TIMES, start=np.array([0.0, -1.0]), start_s=10.0, linear=np.array([True, False]))


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [
        (10.0, [0.0, 1.0]),
        (10.05, [0.025, 1.0]),
        (10.1, [0.05, 1.0]),
        (10.3, [0.2, 1.0]),
        (10.5, [0.25, -1.0]),
        (10.6, [0.2, -1.0]),
        (99.0, [0.2, -1.0]),
        (9.0, [0.0, 1.0]),
    ],
)
def test_a_linear_axis_goes_in_a_straight_line_and_a_step_axis_takes_the_next_goal_at_once(now_s, expected):
    assert plan().at(now_s)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("now_s", "run_end"), [(10.1, 0.3), (10.3, 0.3), (10.5, 0.2), (11.0, 0.2)])
def test_the_run_of_an_axis_ends_where_it_turns_round(now_s, run_end):
    assert plan().at(now_s)[1][0] == pytest.approx(run_end)


def test_an_axis_that_pauses_ends_its_run_at_the_pause():
    goals = np.array([[0.1], [0.1], [0.2]])
    pausing = plan_through(goals, TIMES, start=np.zeros(1), start_s=10.0, linear=np.array([True]))
    assert pausing.at(10.1)[1] == pytest.approx([0.1])
