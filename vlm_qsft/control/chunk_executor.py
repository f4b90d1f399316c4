"""When to ask the policy, and which steps of its answer are still to be executed.

What has been consumed of a chunk is measured, never estimated: a chunk begins when it arrives ("wait") or when its
observation was made ("continue"), on the control clock, and steps whose time has passed are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control import safety
from vlm_qsft.control.action_mapping import GoalMapping
from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.control.motion_plan import MotionPlan, plan_through
from vlm_qsft.control.settings import ControlSettings
from vlm_qsft.errors import Unreachable
from vlm_qsft.types import Decision

ARRIVED = 1e-4
"""An axis this close to its goal has arrived, axis units: 0.1 mm or 0.1 mrad, below what common arms resolve."""

ROUNDING_S = 1e-6
"""Sums of periods and of steps differ in their last digits; without this a question would wait for one more tick."""


@dataclass(frozen=True)
class DecisionRequest:
    """A question to the policy; the answer goes to `Controller.receive_decision` together with it.

    Attributes:
        sequence: tells an outdated answer from the awaited one.
        instruction: to act upon.
        requested_s: the observation must be from this time or later, seconds on the control clock.
        observed_s: when the observation was made; `requested_s` until `Controller.note_observation` says it.
        goal: goals of the axes at the time of the observation, from which deltas count.
        measured: measured position of the axes at that time.
    """

    sequence: int
    instruction: str
    requested_s: float
    observed_s: float
    goal: Float64[np.ndarray, " axis"]
    measured: Float64[np.ndarray, " axis"]


class ChunkExecutor:
    """The goals in force, the plan through them, and the one open question to the policy."""

    def __init__(self, mapping: GoalMapping, settings: ControlSettings) -> None:
        """Start without a goal; call `rest` before anything else."""
        self._mapping = mapping
        self._settings = settings
        self._goal = np.zeros(mapping.limits.n_axes)
        self._plan: MotionPlan | None = None
        self._ask_after_s = -math.inf
        self._open: DecisionRequest | None = None
        self._sequence = 0
        self._unasked_since_s: float | None = None

    def rest(self, goal: Float64[np.ndarray, " axis"]) -> None:
        """Drop the plan and the open question; the goal is this position from now on."""
        self._goal = goal
        self._plan = None
        self._open = None
        self._unasked_since_s = None

    def at(self, now_s: float) -> tuple[Float64[np.ndarray, " axis"], Float64[np.ndarray, " axis"]]:
        """Return (set point, run end) of every axis; see `MotionPlan.at`."""
        return (self._goal, self._goal) if self._plan is None else self._plan.at(now_s)

    def wants_decision(self, now_s: float, position: Float64[np.ndarray, " axis"]) -> bool:
        """Tell whether it is time to ask: no question is open and the steps to execute have been.

        Args:
            now_s: seconds on the control clock.
            position: commanded position; while waiting, the arm must have arrived.
        """
        if self._open is not None:
            return False
        if self._plan is not None and now_s < self._ask_after_s - ROUNDING_S:
            return False
        if self._plan is not None and self._settings.while_thinking == "continue":
            return True
        return bool((np.abs(self._goal - position) <= ARRIVED).all())

    def ask(self, instruction: str, now_s: float, measured: Float64[np.ndarray, " axis"]) -> DecisionRequest:
        """Open a question."""
        self._sequence += 1
        self._open = DecisionRequest(self._sequence, instruction, now_s, now_s, self.at(now_s)[0], measured)
        self._unasked_since_s = None
        return self._open

    def note_observation(
        self, request: DecisionRequest, observed_s: float, measured: Float64[np.ndarray, " axis"]
    ) -> DecisionRequest:
        """Return the open question as of the moment its observation was made: what passes until the answer counts."""
        return replace(request, observed_s=observed_s, goal=self.at(observed_s)[0], measured=measured)

    def is_open(self, request: DecisionRequest) -> bool:
        """Tell whether this is the question that waits for an answer."""
        return self._open is not None and self._open.sequence == request.sequence

    def check_wait(self, now_s: float, position: Float64[np.ndarray, " axis"]) -> Fault | None:
        """Return a fault when the open question, or the one nobody asked, waits for too long."""
        if self._open is not None:
            return self._check_lateness(self._open.requested_s, now_s)
        if not self.wants_decision(now_s, position):
            self._unasked_since_s = None
            return None
        if self._unasked_since_s is None:
            self._unasked_since_s = now_s
        return self._check_lateness(self._unasked_since_s, now_s)

    def adopt(
        self, request: DecisionRequest, decision: Decision, now_s: float, position: Float64[np.ndarray, " axis"]
    ) -> Fault | None:
        """Close the question and plan through the goals of its answer; return a fault when that is not safe.

        Args:
            request: the open question.
            decision: its answer.
            now_s: seconds on the control clock.
            position: commanded position now, where the plan starts.
        """
        self._open = None
        return (
            self._check_lateness(request.requested_s, now_s)
            or safety.check_action(decision.action, self._mapping.action_dim)
            or safety.check_value(decision.value, self._settings.min_value)
            or self._plan_chunk(request, decision, now_s, position)
        )

    def _plan_chunk(
        self, request: DecisionRequest, decision: Decision, now_s: float, position: Float64[np.ndarray, " axis"]
    ) -> Fault | None:
        try:
            goals = self._mapping.goals(decision.action, goal=request.goal, measured=request.measured)
        except Unreachable as error:
            return safety.fault_from_error(error)
        step_s, executed = self._settings.step_s, min(self._settings.execute_steps, len(goals))
        if self._settings.while_thinking == "wait":
            goals, start_s = goals[:executed], now_s
        else:
            start_s = request.observed_s
        times_s = start_s + step_s * np.arange(1, len(goals) + 1)
        ahead = times_s > now_s + ROUNDING_S
        if not ahead.any():
            late_s = now_s - start_s
            text = (
                f"All {len(goals)} steps of the decision had passed when it came {late_s:.3f} s after its observation."
            )
            return Fault(FaultKind.LATE_DECISION, text)
        fault = safety.check_goal_jumps(goals[ahead], position, self._mapping.limits)
        if fault is None:
            self._plan = plan_through(
                goals[ahead], times_s[ahead], start=position, start_s=now_s, linear=self._mapping.linear
            )
            self._goal = self._plan.last_goal
            self._ask_after_s = start_s + step_s * executed
        return fault

    def _check_lateness(self, since_s: float, now_s: float) -> Fault | None:
        timeout_s = self._settings.decision_timeout_s
        if now_s - since_s <= timeout_s:
            return None
        text = f"No decision for {now_s - since_s:.3f} s, at most {timeout_s:g} s allowed."
        return Fault(FaultKind.LATE_DECISION, text)
