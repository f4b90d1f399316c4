"""What an arm does when the controller that moved it is gone."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.control import Command
from vlm_qsft.control.stopping_way import stopping_way
from vlm_qsft.control.tick_times import TickTimes

from .rig import LIMITS, PERIOD_S, Rig, decision


def command(target: list[float], velocity: list[float]) -> Command:
    return Command("move", np.array(target), np.array(velocity), 0.0, None)


def test_a_command_at_rest_is_one_point_that_stays() -> None:
    way = stopping_way(command([0.1, 0.2, 0.3], [0, 0, 0]), LIMITS, period_s=PERIOD_S)
    assert len(way) == 1
    assert way[0].after_s == PERIOD_S
    np.testing.assert_array_equal(way[0].position, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(way[0].velocity, np.zeros(3))


def test_a_command_in_motion_is_followed_by_braking_at_the_acceleration_limit() -> None:
    # The slide may brake by 4 m/s^2 * 0.05 s = 0.2 m/s in each period: 0.5, 0.3, 0.1, 0.
    way = stopping_way(command([0.0, 0.0, 0.0], [0.5, 0.0, 0.0]), LIMITS, period_s=PERIOD_S)
    np.testing.assert_allclose([point.velocity[0] for point in way], [0.5, 0.3, 0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose([point.position[0] for point in way], [0.0, 0.015, 0.02, 0.02], atol=1e-12)
    np.testing.assert_allclose([point.after_s for point in way], [0.05, 0.1, 0.15, 0.2])


def test_every_command_of_a_drive_ends_at_rest_inside_the_limits() -> None:
    rig = Rig().activated()
    for index in range(60):
        if request := rig.controller.request_decision(rig.now_s):
            rig.controller.receive_decision(request, decision([[1.0, 1.0 - index % 2, 1.0]]), rig.now_s)
        sent = rig.tick()
        assert sent is not None
        last = stopping_way(sent, LIMITS, period_s=PERIOD_S)[-1]
        assert not last.velocity.any()
        assert (last.position >= LIMITS.lower).all() and (last.position <= LIMITS.upper).all()


def test_jitter_is_the_distance_of_a_period_from_the_nominal_one() -> None:
    ticks = TickTimes(0.1)
    assert ticks.statistics() is None
    assert ticks.since_last_s(7.0) == 0.0
    for begin_s in (0.0, 0.1, 0.23, 0.30):
        ticks.note(begin_s, begin_s + 0.01)
    statistics = ticks.statistics()
    assert statistics is not None
    assert statistics.n_ticks == 4
    assert statistics.period_s == pytest.approx(0.1)
    assert statistics.jitter_max_s == pytest.approx(0.03)
    assert statistics.busy_p99_s == pytest.approx(0.01)
    assert ticks.since_last_s(0.8) == pytest.approx(0.5)
