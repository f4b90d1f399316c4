"""How an arm follows trajectory messages, against motions that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qsft_sim.joint_trajectory import JointTrajectory, JointTrajectoryFollower, TrajectoryPoint
from vlm_qsft.errors import CommandRefused

NAMES = ("shoulder", "elbow")


def point(time_s: float, positions: tuple[float, ...], velocities: tuple[float, ...] | None = None) -> TrajectoryPoint:
    return TrajectoryPoint(time_s, np.array(positions), None if velocities is None else np.array(velocities))


def follower() -> JointTrajectoryFollower:
    return JointTrajectoryFollower(NAMES, np.array([0.0, 1.0]))


def test_positions_alone_are_joined_by_straight_lines_from_where_the_arm_is_told_to_be() -> None:
    arm = follower()
    arm.accept(JointTrajectory(NAMES, (point(1.0, (2.0, 1.0)), point(2.0, (2.0, 5.0)))), now_s=10.0)
    np.testing.assert_allclose(arm.advance(10.25), [0.5, 1.0])
    np.testing.assert_allclose(arm.advance(11.5), [2.0, 3.0])


def test_with_velocities_the_way_is_the_cubic_that_begins_and_ends_at_rest() -> None:
    arm = follower()
    arm.accept(JointTrajectory(NAMES, (point(2.0, (4.0, 1.0), (0.0, 0.0)),)), now_s=0.0)
    for time_s in (0.3, 1.0, 1.7):
        share = time_s / 2.0
        np.testing.assert_allclose(arm.advance(time_s), [4.0 * (3 * share**2 - 2 * share**3), 1.0])


def test_velocities_on_the_way_are_met() -> None:
    arm = follower()
    way = (point(1.0, (1.0, 1.0), (2.0, 0.0)), point(2.0, (2.0, 1.0), (0.0, 0.0)))
    arm.accept(JointTrajectory(NAMES, way), now_s=0.0)
    before, after = arm.advance(1.0 - 1e-6)[0], arm.advance(1.0 + 1e-6)[0]
    assert (after - before) / 2e-6 == pytest.approx(2.0, abs=1e-3)


def test_after_the_last_point_the_arm_stays_there() -> None:
    arm = follower()
    arm.accept(JointTrajectory(NAMES, (point(0.5, (3.0, 3.0)),)), now_s=0.0)
    np.testing.assert_array_equal(arm.advance(100.0), [3.0, 3.0])


def test_a_new_trajectory_leaves_from_the_set_point_and_speed_of_its_arrival() -> None:
    arm = follower()
    arm.accept(JointTrajectory(NAMES, (point(1.0, (1.0, 1.0), (0.0, 0.0)),)), now_s=0.0)
    at_half = arm.advance(0.5).copy()
    arm.accept(JointTrajectory(NAMES, (point(1.0, (-1.0, 1.0), (0.0, 0.0)),)), now_s=0.5)
    # Half way the cubic from 0 to 1 in 1 s stands at 0.5 and has its largest speed, 1.5.
    np.testing.assert_allclose(at_half, [0.5, 1.0])
    speed = (arm.advance(0.5 + 1e-6)[0] - 0.5) / 1e-6
    assert speed == pytest.approx(1.5, abs=1e-3)


def test_joints_may_be_named_in_any_order() -> None:
    arm = follower()
    arm.accept(JointTrajectory(NAMES[::-1], (point(1.0, (7.0, 2.0)),)), now_s=0.0)
    np.testing.assert_array_equal(arm.advance(2.0), [2.0, 7.0])


def test_a_trajectory_that_began_in_the_past_is_joined_where_it_stands() -> None:
    arm = follower()
    way = (point(1.0, (9.0, 9.0)), point(3.0, (2.0, 1.0)))
    arm.accept(JointTrajectory(NAMES, way, start_s=4.0), now_s=6.0)
    # The first point lies in the past: one second is left to reach the second from (0, 1).
    np.testing.assert_allclose(arm.advance(6.5), [1.0, 1.0])


@pytest.mark.parametrize(
    ("trajectory", "told"),
    [
        (JointTrajectory(("shoulder",), (point(1.0, (1.0,)),)), "expected all of shoulder, elbow"),
        (JointTrajectory(NAMES, ()), "no point"),
        (JointTrajectory(NAMES, (point(1.0, (1.0, float("nan"))),)), "expected 2 finite numbers"),
        (JointTrajectory(NAMES, (point(1.0, (1.0, 1.0, 1.0)),)), "expected 2 finite numbers"),
        (JointTrajectory(NAMES, (point(1.0, (1.0, 1.0)), point(1.0, (2.0, 1.0)))), "must rise"),
        (JointTrajectory(NAMES, (point(1.0, (1.0, 1.0)),), start_s=1.0), "was over 6.000 s before"),
        (JointTrajectory(NAMES, (point(1.0, (1.0, 1.0), (0.1, 0.0)),)), "ends in motion"),
        (JointTrajectory(NAMES, (point(1.0, (1.0, 1.0), (0.0, 0.0)), point(2.0, (1.0, 1.0)))), "some have none"),
    ],
    ids=["joints", "empty", "nan", "size", "times", "late", "in-motion", "half-velocities"],
)
def test_a_trajectory_that_cannot_be_followed_is_refused_and_the_one_under_way_goes_on(
    trajectory: JointTrajectory, told: str
) -> None:
    arm = follower()
    arm.accept(JointTrajectory(NAMES, (point(10.0, (10.0, 1.0)),)), now_s=0.0)
    with pytest.raises(CommandRefused, match=told):
        arm.accept(trajectory, now_s=8.0)
    np.testing.assert_allclose(arm.advance(9.0), [9.0, 1.0])
