"""A command and the braking that follows it, so that an arm whose controller dies comes to rest by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control.command import Command
from vlm_qsft.control.limits import RobotLimits
from vlm_qsft.control.rate_limiter import Motion, brake


@dataclass(frozen=True)
class WayPoint:
    """Where every axis is to be at a time.

    Attributes:
        after_s: seconds after the command was sent, above zero.
        position: of every axis, in the units of its limits.
        velocity: of every axis then, units/s; zero in the last point of a way.
    """

    after_s: float
    position: Float64[np.ndarray, " axis"]
    velocity: Float64[np.ndarray, " axis"]


def stopping_way(command: Command, limits: RobotLimits, *, period_s: float) -> tuple[WayPoint, ...]:
    """Return the command's target after one period, then the way on which every axis brakes to rest.

    A new command replaces the rest of the way before it begins; when none comes, the arm stops inside its limits. The
    last velocity is zero: joint trajectory controllers refuse a trajectory that ends in motion.

    Args:
        command: to be sent now.
        limits: of the robot.
        period_s: the control period.
    """
    motion = Motion(command.target, command.velocity)
    points = [WayPoint(period_s, motion.position, motion.velocity)]
    while not motion.at_rest:
        motion = brake(motion, limits, duration_s=period_s)
        points.append(WayPoint((len(points) + 1) * period_s, motion.position, motion.velocity))
    return tuple(points)
