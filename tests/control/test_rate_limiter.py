"""No command violates a limit, whatever the set points and however irregular the ticks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_qsft.control.limits import AxisLimits, RobotLimits
from vlm_qsft.control.rate_limiter import Motion, brake, follow, rest_at, stopping_point

ROUNDING = 1e-9


def one_axis(
    *, lower: float = -1.0, upper: float = 1.0, velocity: float = 0.5, acceleration: float = 2.0
) -> RobotLimits:
    return RobotLimits(
        (AxisLimits("slide", "m", lower, upper, velocity, acceleration, goal_jump=9.0, measurement_jump=9.0),)
    )


limits = st.builds(
    lambda low, width, velocity, acceleration: one_axis(
        lower=low, upper=low + width, velocity=velocity, acceleration=acceleration
    ),
    st.floats(-5, 5),
    st.floats(0.01, 10),
    st.floats(0.01, 20),
    st.floats(0.05, 500),
)
ways = st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(0.0, 0.2)), min_size=1, max_size=60)


@given(limits, st.floats(0, 1), ways)
def test_no_set_point_and_no_tick_length_makes_a_target_step_or_leave_its_range(robot, share, way):
    motion = rest_at(robot.lower + share * (robot.upper - robot.lower), robot)
    for setpoint, run_end, duration_s in way:
        after = follow(motion, np.array([setpoint]), np.array([run_end]), robot, duration_s=duration_s)
        assert robot.lower <= after.position <= robot.upper
        assert abs(after.velocity) <= robot.velocity + ROUNDING
        assert abs(after.velocity - motion.velocity) <= robot.acceleration * duration_s + ROUNDING
        assert np.allclose(after.position - motion.position, after.velocity * duration_s, atol=1e-7)
        motion = after


@given(limits, st.floats(0, 1), ways, st.lists(st.floats(0.001, 0.2), min_size=1, max_size=400))
def test_braking_comes_to_rest_inside_the_range_and_not_behind_the_stopping_point(robot, share, way, ticks):
    motion = rest_at(robot.lower + share * (robot.upper - robot.lower), robot)
    for setpoint, run_end, duration_s in way:
        motion = follow(motion, np.array([setpoint]), np.array([run_end]), robot, duration_s=duration_s)
    start, stop = motion, stopping_point(motion, robot)
    for duration_s in ticks:
        before, motion = motion, brake(motion, robot, duration_s=duration_s)
        assert np.allclose(motion.position - before.position, motion.velocity * duration_s, atol=1e-7)
        assert abs(motion.velocity) <= abs(before.velocity)
    assert motion.at_rest == (sum(ticks) * robot.acceleration[0] >= abs(start.velocity[0])) or math.isclose(
        sum(ticks) * robot.acceleration[0], abs(start.velocity[0]), abs_tol=1e-9
    )
    between = np.sort(np.concatenate([start.position, stop]))
    assert between[0] - ROUNDING <= motion.position[0] <= between[1] + ROUNDING


def test_an_axis_accelerates_cruises_and_brakes_as_worked_out_by_hand():
    # h = 0.1, A = 2: the velocity changes by at most 0.2 a tick, up to 0.5. From 0 to 0.2 m:
    # 0.2, then 0.4; at 0.06 m the room of 0.14 m allows 2 (sqrt(0.01 + 0.14) - 0.1) = 0.5746, so the limit 0.5 rules.
    robot, motion, goal = one_axis(), rest_at(np.zeros(1), one_axis()), np.array([0.2])
    positions, velocities = [], []
    for _ in range(3):
        motion = follow(motion, goal, goal, robot, duration_s=0.1)
        positions.append(float(motion.position[0]))
        velocities.append(float(motion.velocity[0]))
    assert velocities == pytest.approx([0.2, 0.4, 0.5])
    assert positions == pytest.approx([0.02, 0.06, 0.11])
    # Room 0.09: 2 (sqrt(0.01 + 0.09) - 0.1) = 0.43246.
    assert follow(motion, goal, goal, robot, duration_s=0.1).velocity == pytest.approx([0.4324555])


def test_an_axis_reaches_its_goal_without_overshoot_and_rests_there():
    robot, goal = one_axis(), np.array([0.3])
    motion = rest_at(np.array([-0.4]), robot)
    way = []
    for _ in range(60):
        motion = follow(motion, goal, goal, robot, duration_s=0.05)
        way.append(float(motion.position[0]))
    assert max(way) <= 0.3
    assert way == sorted(way)
    assert way[-1] == pytest.approx(0.3, abs=1e-9)


def test_a_set_point_on_the_way_is_tracked_without_lag_once_up_to_speed():
    robot = one_axis()
    motion, end = rest_at(np.zeros(1), robot), np.array([0.9])
    for tick in range(1, 21):
        setpoint = np.array([0.4 * 0.05 * tick])
        motion = follow(motion, setpoint, end, robot, duration_s=0.05)
    assert motion.position == pytest.approx(setpoint)
    assert motion.velocity == pytest.approx([0.4])


def test_a_measurement_beyond_a_limit_starts_on_the_limit():
    assert rest_at(np.array([1.003]), one_axis()).position == pytest.approx([1.0])


def test_a_continuous_joint_has_no_end():
    robot = one_axis(lower=-math.inf, upper=math.inf)
    motion = rest_at(np.array([100.0]), robot)
    for _ in range(40):
        motion = follow(motion, np.array([103.0]), np.array([103.0]), robot, duration_s=0.2)
    assert motion.position == pytest.approx([103.0])
    assert stopping_point(Motion(np.array([103.0]), np.array([0.4])), robot) == pytest.approx([103.04])
