"""Targets that never step: velocity and acceleration limits with a guarantee to stop inside the position limits.

State is the commanded position x and its velocity v. A tick of length h picks v' and sets x' = x + v' h.

    stoppable:  lower <= x + v|v| / 2A <= upper   and   lower <= x <= upper

Braking keeps every axis stoppable whatever the lengths of the ticks that follow, because the sum of v_{i+1} h_i of a
falling velocity is at most its integral v^2 / 2A. So an arm that starts stoppable never leaves its range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control.limits import RobotLimits


@dataclass(frozen=True)
class Motion:
    """What was commanded last.

    Attributes:
        position: target of every axis, inside its limits.
        velocity: change of the target over the last tick, units/s.
    """

    position: Float64[np.ndarray, " axis"]
    velocity: Float64[np.ndarray, " axis"]

    @property
    def at_rest(self) -> bool:
        """Tell whether the target stands still."""
        return not self.velocity.any()


def rest_at(position: Float64[np.ndarray, " axis"], limits: RobotLimits) -> Motion:
    """Return the motion that stands at a measured position, moved onto the limit where the measurement is beyond it."""
    clipped = np.clip(np.asarray(position, dtype=np.float64), limits.lower, limits.upper)
    return Motion(clipped, np.zeros_like(clipped))


def stopping_point(motion: Motion, limits: RobotLimits) -> Float64[np.ndarray, " axis"]:
    """Return where the axes come to rest at the latest when braked now: x + v|v| / 2A, inside the limits."""
    reach = motion.velocity * np.abs(motion.velocity) / (2 * limits.acceleration)
    return np.clip(motion.position + reach, limits.lower, limits.upper)


def _advance(motion: Motion, velocity: Float64[np.ndarray, " axis"], limits: RobotLimits, duration_s: float) -> Motion:
    # The clip only removes rounding: a stoppable motion does not cross a limit.
    return Motion(np.clip(motion.position + velocity * duration_s, limits.lower, limits.upper), velocity)


def brake(motion: Motion, limits: RobotLimits, *, duration_s: float) -> Motion:
    """Return the motion one tick later with every axis slowed down as fast as its acceleration limit allows."""
    speed = np.maximum(np.abs(motion.velocity) - limits.acceleration * duration_s, 0.0)
    return _advance(motion, np.copysign(speed, motion.velocity) * (speed > 0), limits, duration_s)


def follow(
    motion: Motion,
    setpoint: Float64[np.ndarray, " axis"],
    run_end: Float64[np.ndarray, " axis"],
    limits: RobotLimits,
    *,
    duration_s: float,
) -> Motion:
    """Return the motion one tick later, on the way to a set point that itself moves.

    The velocity is the one that reaches the set point in this tick, cut to the largest from which the axis can still
    stop at `run_end` (v' h + v'^2 / 2A <= room), then to the velocity limit, then to the acceleration limit.

    Args:
        motion: what was commanded last.
        setpoint: where the plan wants every axis at the end of this tick.
        run_end: where the set point will next stop or turn round: what an axis brakes for.
        limits: of the robot; set point and run end outside are moved onto the limit.
        duration_s: length of the tick, seconds; at 0 nothing moves.
    """
    if duration_s <= 0:
        return motion
    acceleration = limits.acceleration
    setpoint = np.clip(setpoint, limits.lower, limits.upper)
    run_end = np.clip(run_end, limits.lower, limits.upper)
    way = setpoint - motion.position
    stop = np.where(way >= 0, np.maximum(run_end, setpoint), np.minimum(run_end, setpoint))
    room = np.abs(stop - motion.position)
    fastest = acceleration * (np.sqrt(duration_s**2 + 2 * room / acceleration) - duration_s)
    longest = np.minimum(fastest, limits.velocity) * duration_s
    wanted = np.clip(way, -longest, longest) / duration_s
    change = acceleration * duration_s
    return _advance(motion, np.clip(wanted, motion.velocity - change, motion.velocity + change), limits, duration_s)
