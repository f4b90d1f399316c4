"""Joint trajectories as an arm carries them out: what ros2_control's joint_trajectory_controller does with a message.

Between two points the set point follows the cubic through their positions and velocities; without velocities it goes
straight. After the last point it stays there. A new trajectory replaces the old one at once and leaves from the set
point, and from its velocity, of that moment, so that no message makes the set point step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vlm_qsft.errors import CommandRefused

Joints = Float64[np.ndarray, " joint"]


@dataclass(frozen=True)
class TrajectoryPoint:
    """One point of a trajectory.

    Attributes:
        time_s: from the start of the trajectory, seconds.
        positions: one per joint of the trajectory, rad or m.
        velocities: the same in units/s, or None.
    """

    time_s: float
    positions: Joints
    velocities: Joints | None = None


@dataclass(frozen=True)
class JointTrajectory:
    """What a trajectory message says.

    Attributes:
        joint_names: the order of the numbers of every point.
        points: in rising time.
        start_s: on the arm's clock, seconds; None starts at once.
    """

    joint_names: tuple[str, ...]
    points: tuple[TrajectoryPoint, ...]
    start_s: float | None = None

    def of_joints(self, names: tuple[str, ...]) -> JointTrajectory:
        """Return the part of some of its joints, in their order; points of another size are left for the checks."""
        if sorted(names) == sorted(self.joint_names):
            return self
        columns = [self.joint_names.index(name) for name in names]
        size = len(self.joint_names)

        def part(values: Joints | None) -> Joints | None:
            return values if values is None or values.shape != (size,) else values[columns]

        points = tuple(
            TrajectoryPoint(point.time_s, np.asarray(part(point.positions)), part(point.velocities))
            for point in self.points
        )
        return JointTrajectory(names, points, self.start_s)


@dataclass(frozen=True)
class _Knots:
    """The trajectory under way, from the set point at which it was accepted."""

    times_s: Float64[np.ndarray, " knot"]
    positions: Float64[np.ndarray, "knot joint"]
    velocities: Float64[np.ndarray, "knot joint"] | None


class JointTrajectoryFollower:
    """The set point of a group of joints."""

    def __init__(self, joint_names: tuple[str, ...], positions: Joints) -> None:
        """Hold these positions.

        Args:
            joint_names: the group; every trajectory names all of them, in any order.
            positions: in the order of `joint_names`.
        """
        self.joint_names = joint_names
        self.hold(positions)

    def hold(self, positions: Joints) -> None:
        """Drop the trajectory and stay at these positions."""
        self._knots: _Knots | None = None
        self._position = np.array(positions, dtype=np.float64)
        self._velocity = np.zeros_like(self._position)

    def check(self, trajectory: JointTrajectory, now_s: float) -> None:
        """Refuse what `accept` would refuse.

        Raises:
            CommandRefused: other joints, no point, numbers missing or not finite, times that do not rise, a trajectory
                that is over already, or one that ends in motion.
        """
        self._columns(trajectory)
        self._check_points(trajectory, now_s if trajectory.start_s is None else trajectory.start_s, now_s)

    def accept(self, trajectory: JointTrajectory, now_s: float) -> None:
        """Replace what was under way. Raises CommandRefused: see `check`; the trajectory under way goes on."""
        self.check(trajectory, now_s)
        columns = self._columns(trajectory)
        start_s = now_s if trajectory.start_s is None else trajectory.start_s
        points = trajectory.points
        self.advance(now_s)
        times = np.array([now_s, *(start_s + point.time_s for point in points)])
        positions = np.stack([self._position, *(point.positions[columns] for point in points)])
        velocities = None
        if points[0].velocities is not None:
            rows = [point.velocities[columns] for point in points if point.velocities is not None]
            velocities = np.stack([self._velocity, *rows])
        # A trajectory that began in the past is joined where it stands now.
        ahead = np.concatenate([[True], times[1:-1] > now_s, [True]])
        self._knots = _Knots(times[ahead], positions[ahead], None if velocities is None else velocities[ahead])

    def advance(self, now_s: float) -> Joints:
        """Return the set point at a time that never goes back."""
        knots = self._knots
        if knots is None:
            return self._position
        if now_s >= knots.times_s[-1]:
            self.hold(knots.positions[-1])
            return self._position
        following = max(int(np.searchsorted(knots.times_s, now_s, side="right")), 1)
        self._position, self._velocity = _between(knots, following, now_s)
        return self._position

    def _columns(self, trajectory: JointTrajectory) -> list[int]:
        if sorted(trajectory.joint_names) != sorted(self.joint_names):
            raise CommandRefused(
                f"The trajectory is for {', '.join(trajectory.joint_names) or 'no joint'}; "
                f"expected all of {', '.join(self.joint_names)}."
            )
        return [trajectory.joint_names.index(name) for name in self.joint_names]

    def _check_points(self, trajectory: JointTrajectory, start_s: float, now_s: float) -> None:
        points, size = trajectory.points, len(self.joint_names)
        if not points:
            raise CommandRefused("The trajectory has no point.")
        have_velocities = {point.velocities is not None for point in points}
        if len(have_velocities) > 1:
            raise CommandRefused("Some points of the trajectory have velocities and some have none.")
        for number, point in enumerate(points):
            for what, values in (("positions", point.positions), ("velocities", point.velocities)):
                if values is None:
                    continue
                if values.shape != (size,) or not np.isfinite(values).all():
                    raise CommandRefused(
                        f"Point {number} has {what} {np.array2string(values, precision=3)}; "
                        f"expected {size} finite numbers."
                    )
        times = np.array([point.time_s for point in points])
        if not np.isfinite(times).all() or times[0] < 0 or (np.diff(times) <= 0).any():
            raise CommandRefused(f"The times of the points must rise from 0 on, got {times.tolist()} s.")
        if start_s + times[-1] < now_s:
            raise CommandRefused(f"The trajectory was over {now_s - start_s - times[-1]:.3f} s before it came.")
        last = points[-1].velocities
        if last is not None and last.any():
            raise CommandRefused("The trajectory ends in motion: the velocities of its last point must be zero.")


def _between(knots: _Knots, following: int, now_s: float) -> tuple[Joints, Joints]:
    """Return position and velocity inside the segment that ends at a knot."""
    start_s, end_s = knots.times_s[following - 1 : following + 1]
    length_s = end_s - start_s
    share = (now_s - start_s) / length_s
    start, end = knots.positions[following - 1], knots.positions[following]
    if knots.velocities is None:
        return start + share * (end - start), (end - start) / length_s
    leaving, arriving = knots.velocities[following - 1] * length_s, knots.velocities[following] * length_s
    # Hermite's cubic: c0 + c1 s + c2 s^2 + c3 s^3.
    square = 3 * (end - start) - 2 * leaving - arriving
    cube = 2 * (start - end) + leaving + arriving
    position = start + leaving * share + square * share**2 + cube * share**3
    return position, (leaving + 2 * square * share + 3 * cube * share**2) / length_s
