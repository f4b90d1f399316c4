"""The way through the goals of one action chunk, so that a control tick between two steps has its own set point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64


@dataclass(frozen=True)
class MotionPlan:
    """Goals in time; build it with `plan_through`.

    Attributes:
        times_s: when each point is reached, seconds on the control clock, rising; the first is the start.
        points: position of every axis at those times.
        run_ends: from the segment that ends at a point, where the axis next stops or turns round.
        linear: axes interpolated between points; the others (a gripper) take the next point at once.
    """

    times_s: Float64[np.ndarray, " point"]
    points: Float64[np.ndarray, "point axis"]
    run_ends: Float64[np.ndarray, "point axis"]
    linear: Bool[np.ndarray, " axis"]

    @property
    def end_s(self) -> float:
        """Time of the last goal."""
        return float(self.times_s[-1])

    @property
    def last_goal(self) -> Float64[np.ndarray, " axis"]:
        """Where the plan ends."""
        return self.points[-1]

    def at(self, now_s: float) -> tuple[Float64[np.ndarray, " axis"], Float64[np.ndarray, " axis"]]:
        """Return (set point, run end) at a time; after the end both are the last goal."""
        if now_s >= self.end_s:
            return self.points[-1], self.points[-1]
        following = max(int(np.searchsorted(self.times_s, now_s, side="right")), 1)
        start_s, end_s = self.times_s[following - 1], self.times_s[following]
        share = min(max((now_s - start_s) / (end_s - start_s), 0.0), 1.0)
        start, end = self.points[following - 1], self.points[following]
        setpoint = np.where(self.linear, start + share * (end - start), end)
        return setpoint, self.run_ends[following]


def plan_through(
    goals: Float64[np.ndarray, "step axis"],
    goal_times_s: Float64[np.ndarray, " step"],
    *,
    start: Float64[np.ndarray, " axis"],
    start_s: float,
    linear: Bool[np.ndarray, " axis"],
) -> MotionPlan:
    """Return the plan that leaves `start` at `start_s` and reaches each goal at its time.

    Args:
        goals: positions to reach, at least one.
        goal_times_s: rising, the first after `start_s`.
        start: commanded position now.
        start_s: now.
        linear: axes to interpolate.
    """
    points = np.concatenate([start[None], goals])
    times = np.concatenate([[start_s], goal_times_s])
    way = np.diff(points, axis=0)
    run_ends = points.copy()
    for index in range(len(points) - 2, 0, -1):
        goes_on = way[index - 1] * way[index] > 0
        run_ends[index] = np.where(goes_on, run_ends[index + 1], points[index])
    return MotionPlan(times, points, run_ends, linear)
