"""The checks between a policy and an arm. The only place of this library where an error becomes a hold.

Every check is a pure function that returns a `Fault`, or None where all is well.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.control.limits import RobotLimits
from vlm_qsft.errors import QsftError


def fault_from_error(error: QsftError) -> Fault:
    """Turn what a policy raised instead of deciding into a reason to hold."""
    return Fault(FaultKind.POLICY_ERROR, f"{type(error).__name__}: {error}")


def check_vector(name: str, values: np.ndarray, size: int) -> Fault | None:
    """Check that an input vector has its size and holds numbers only."""
    if values.shape != (size,):
        return Fault(FaultKind.WRONG_SIZE, f"Input '{name}' has shape {values.shape}, expected ({size},).")
    if not np.isfinite(values).all():
        positions = ", ".join(str(index) for index in np.flatnonzero(~np.isfinite(values)))
        return Fault(FaultKind.NOT_FINITE, f"Input '{name}' is not finite at position {positions}.")
    return None


def check_measurement_jump(
    measured: Float64[np.ndarray, " axis"],
    previous: Float64[np.ndarray, " axis"],
    limits: RobotLimits,
    *,
    elapsed_s: float,
) -> Fault | None:
    """Check that no axis moved farther between two measurements than its velocity limit and jump allowance explain."""
    change = np.abs(measured - previous)
    allowed = limits.velocity * max(elapsed_s, 0.0) + limits.measurement_jump
    return _first_axis(change > allowed, FaultKind.JUMP, limits, "measurement jumped by", change, allowed)


def check_measurement_range(measured: Float64[np.ndarray, " axis"], limits: RobotLimits) -> Fault | None:
    """Check that the arm stands inside its limits, or within the tolerance beside them."""
    beyond = np.maximum(limits.lower - measured, measured - limits.upper)
    allowed = limits.measurement_tolerance
    return _first_axis(beyond > allowed, FaultKind.OUTSIDE_LIMITS, limits, "is beyond its limit by", beyond, allowed)


def check_action(action: np.ndarray, action_dim: int) -> Fault | None:
    """Check that an action chunk has at least one step, the declared dimensions, and holds numbers only."""
    if action.ndim != 2 or action.shape[0] < 1 or action.shape[1] != action_dim:
        return Fault(FaultKind.WRONG_SIZE, f"The action has shape {action.shape}, expected (chunk, {action_dim}).")
    if not np.isfinite(action).all():
        return Fault(FaultKind.NOT_FINITE, f"The action is not finite: {np.array2string(action, precision=3)}.")
    return None


def check_goal_jumps(
    goals: Float64[np.ndarray, "step axis"], position: Float64[np.ndarray, " axis"], limits: RobotLimits
) -> Fault | None:
    """Check that no goal is farther from the one before it (the first from the commanded position) than allowed."""
    changes = np.abs(np.diff(np.concatenate([position[None], goals]), axis=0)).max(axis=0)
    allowed = limits.goal_jump
    return _first_axis(changes > allowed, FaultKind.JUMP, limits, "is asked to jump by", changes, allowed)


def check_value(value: float, min_value: float | None) -> Fault | None:
    """Check the value of a decision against the level below which the robot must not act."""
    if min_value is None:
        return None
    if math.isnan(value):
        return Fault(
            FaultKind.LOW_VALUE,
            f"The decision has no value but min_value is {min_value}: the policy needs a likelihood model.",
        )
    if value < min_value:
        return Fault(FaultKind.LOW_VALUE, f"Value {value:.3f} is below the level {min_value:.3f}.")
    return None


def _first_axis(
    wrong: np.ndarray, kind: FaultKind, limits: RobotLimits, what: str, size: np.ndarray, allowed: np.ndarray
) -> Fault | None:
    if not wrong.any():
        return None
    index = int(np.argmax(wrong))
    axis = limits.axes[index]
    return Fault(kind, f"Axis '{axis.name}' {what} {size[index]:.4g} {axis.unit}, allowed {allowed[index]:.4g}.")
