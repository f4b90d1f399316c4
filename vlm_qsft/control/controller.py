"""The state machine between a policy and an arm. No ROS, no threads, no clock: time is an argument.

    inactive --activate--> active --fault, hold--> holding --resume--> active
    any --deactivate--> inactive          any --emergency_stop--> stopped --clear_stop--> inactive

Every time is seconds on one steady clock. Call it from one thread; `emergency_stop` alone may come from any.
"""

from __future__ import annotations

from enum import StrEnum
from threading import Lock

import numpy as np

from vlm_qsft.control import safety
from vlm_qsft.control.action_mapping import ActionMapping
from vlm_qsft.control.chunk_executor import ChunkExecutor, DecisionRequest
from vlm_qsft.control.command import Command
from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.control.inputs import MEASUREMENT, Inputs
from vlm_qsft.control.instruction import Instruction
from vlm_qsft.control.rate_limiter import Motion, brake, follow, rest_at, stopping_point
from vlm_qsft.control.settings import ControlSettings
from vlm_qsft.control.tick_clock import TickClock
from vlm_qsft.control.watchdog import CameraInput, VectorInput
from vlm_qsft.control.workspace import Workspace
from vlm_qsft.errors import CommandRefused, QsftError
from vlm_qsft.types import Decision


class ControllerState(StrEnum):
    """Where the controller stands."""

    INACTIVE = "inactive"
    ACTIVE = "active"
    HOLDING = "holding"
    STOPPED = "stopped"


class Controller:
    """Turns decisions into commands that are always safe to send.

    One control period: `receive_*` what arrived, `request_decision` and hand the question to the policy,
    `receive_decision` when it answered, `tick` and send the command. Tick in every state, so that braking ends.
    """

    def __init__(
        self,
        *,
        mapping: ActionMapping,
        settings: ControlSettings,
        inputs: tuple[VectorInput | CameraInput, ...],
        workspace: Workspace | None = None,
    ) -> None:
        """Build an inactive controller.

        Args:
            mapping: actions to axes; holds the limits.
            settings: timing.
            inputs: every watched input; the one named "measurement" has one number per axis.
            workspace: where the tool must stay, beyond the limits of the axes.

        Raises:
            InvalidSetting: no measurement input of the right size.
        """
        self.limits = mapping.limits
        self.settings = settings
        self._inputs = Inputs(inputs, self.limits)
        self._workspace = workspace
        self._executor = ChunkExecutor(mapping, settings)
        self._clock = TickClock(settings)
        self._state = ControllerState.INACTIVE
        self._fault: Fault | None = None
        self._stop: Fault | None = None
        self._stop_lock = Lock()
        self._motion: Motion | None = None
        self._instruction: Instruction | None = None

    @property
    def state(self) -> ControllerState:
        """Where the controller stands."""
        return self._state if self._stop is None else ControllerState.STOPPED

    @property
    def fault(self) -> Fault | None:
        """Why the arm holds or is stopped: the first fault since the last activation or resume."""
        return self._fault if self._stop is None else self._stop

    @property
    def instruction(self) -> Instruction | None:
        """What the robot is told to do, or None."""
        return self._instruction

    def input_age_s(self, name: str, now_s: float) -> float:
        """Return how old an input is, seconds, infinity when it never arrived. Raises UnknownName."""
        return self._inputs.age_s(name, now_s)

    def activate(self, now_s: float) -> None:
        """Begin to command, from the measured position at rest.

        Raises:
            CommandRefused: not inactive, the arm still brakes, an input is stale, or the arm is outside its limits.
        """
        if self.state is not ControllerState.INACTIVE:
            raise CommandRefused(f"Only an inactive controller can be activated; it is {self.state.value}.")
        start = self._ready(now_s)
        self._motion = start
        self._begin(start, now_s)

    def resume(self, now_s: float) -> None:
        """Leave the hold. The target first goes from where it was held to where the arm is measured, without a step.

        Raises:
            CommandRefused: not holding, the arm still brakes, an input is stale, or the arm is outside its limits.
        """
        if self.state is not ControllerState.HOLDING:
            raise CommandRefused(f"Only a holding controller can be resumed; it is {self.state.value}.")
        self._begin(self._ready(now_s), now_s)

    def hold(self, text: str) -> None:
        """Make an active arm hold until `resume`, on the wish of an operator who says why."""
        self._enter_hold(Fault(FaultKind.OPERATOR, text))

    def deactivate(self) -> None:
        """Stop commanding: the arm brakes, then nothing more is sent. An emergency stop stays."""
        self.clear_instruction()
        self._fault = None
        self._state = ControllerState.INACTIVE

    def emergency_stop(self, text: str) -> None:
        """Stop, whatever the state, and stay stopped until `clear_stop`. Never refused; callable from any thread."""
        with self._stop_lock:
            self._stop = Fault(FaultKind.EMERGENCY_STOP, text)

    def clear_stop(self) -> None:
        """Leave the emergency stop; the controller is inactive then. Raises CommandRefused: it is not stopped."""
        with self._stop_lock:
            if self._stop is None:
                raise CommandRefused(f"There is no emergency stop to clear; the controller is {self.state.value}.")
            self.deactivate()
            self._stop = None

    def set_instruction(self, text: str, now_s: float, *, time_limit_s: float | None = None) -> None:
        """Give the robot something to do. The plan for the old instruction is dropped; a hold is not left by it.

        Raises:
            InvalidSetting: an empty instruction, a time that is not a number, a time limit that is not positive.
        """
        instruction = Instruction(text, now_s, time_limit_s)
        self.clear_instruction()
        self._instruction = instruction

    def clear_instruction(self) -> None:
        """Take the instruction away, finished or cancelled: the arm brakes and waits for the next one."""
        self._instruction = None
        if self._motion is not None:
            self._executor.rest(stopping_point(self._motion, self.limits))

    def receive_measurement(
        self, position: np.ndarray, now_s: float, *, stamp_s: float | None = None, age_s: float = 0.0
    ) -> None:
        """Take the measured position of every axis, in the order of the limits; see `Watchdog.receive_vector`."""
        self.receive_vector(MEASUREMENT, position, now_s, stamp_s=stamp_s, age_s=age_s)

    def receive_vector(
        self, name: str, values: np.ndarray, now_s: float, *, stamp_s: float | None = None, age_s: float = 0.0
    ) -> None:
        """Take any watched vector; see `Watchdog.receive_vector`. Raises UnknownName."""
        self._enter_hold(self._inputs.receive_vector(name, values, now_s, stamp_s=stamp_s, age_s=age_s))

    def receive_picture(
        self, name: str, picture: np.ndarray, now_s: float, *, stamp_s: float | None = None, age_s: float = 0.0
    ) -> None:
        """Take a camera's picture; see `Watchdog.receive_picture`. Raises UnknownName."""
        self._enter_hold(self._inputs.receive_picture(name, picture, now_s, stamp_s=stamp_s, age_s=age_s))

    def request_decision(self, now_s: float) -> DecisionRequest | None:
        """Return a question for the policy when it is time to think, else None. One is open at a time."""
        if self.state is not ControllerState.ACTIVE or self._instruction is None:
            return None
        measured = self._inputs.measured
        if measured is None or self._motion is None:
            return None
        if not self._executor.wants_decision(now_s, self._motion.position):
            return None
        return self._executor.ask(self._instruction.text, now_s, measured)

    def receive_decision(self, request: DecisionRequest, decision: Decision, now_s: float) -> bool:
        """Take the answer of the policy. Returns False, changing nothing, when the question is no longer open."""
        if self._motion is None or not self._is_open(request):
            return False
        self._enter_hold(self._executor.adopt(request, decision, now_s, self._motion.position))
        return True

    def receive_failure(self, request: DecisionRequest, error: QsftError) -> bool:
        """Take the error a policy raised instead of deciding. Returns False when the question is no longer open."""
        if not self._is_open(request):
            return False
        self._enter_hold(safety.fault_from_error(error))
        return True

    def tick(self, now_s: float) -> Command | None:
        """Return the command for this control period; None when nothing is to be sent (inactive and at rest)."""
        duration_s = self._advance_clock(now_s)
        if self._motion is None:
            return None
        self._enter_hold(self._current_fault(now_s, self._motion))
        state = self.state
        if state is ControllerState.ACTIVE and self._instruction is not None:
            moved = self._follow(now_s, duration_s, self._motion)
            if moved is not None:
                self._motion = moved
                return Command("move", moved.position, moved.velocity, now_s, None)
        if state is ControllerState.INACTIVE and self._motion.at_rest:
            self._motion = None
            return None
        self._motion = brake(self._motion, self.limits, duration_s=duration_s)
        return Command("hold", self._motion.position, self._motion.velocity, now_s, self._hold_reason())

    def _ready(self, now_s: float) -> Motion:
        """Return rest at the measured position. Raises CommandRefused: something forbids to move from there."""
        if self._motion is not None and not self._motion.at_rest:
            raise CommandRefused("The arm still brakes: ask again once it is at rest.")
        fault, measured = self._inputs.check(now_s), self._inputs.measured
        if fault is None and measured is not None:
            fault = safety.check_measurement_range(measured, self.limits)
        if fault is not None:
            raise CommandRefused(f"The arm is not ready. {fault}")
        if measured is None:
            raise CommandRefused("The arm is not ready: no measured position has arrived.")
        start = rest_at(measured, self.limits)
        fault = self._check_workspace(start)
        if fault is not None:
            raise CommandRefused(f"The arm is not ready. {fault}")
        return start

    def _begin(self, start: Motion, now_s: float) -> None:
        self._executor.rest(start.position)
        self._fault = None
        self._clock.begin(now_s)
        self._state = ControllerState.ACTIVE

    def _enter_hold(self, fault: Fault | None) -> None:
        if fault is not None and self._state is ControllerState.ACTIVE:
            self._fault = fault
            self._state = ControllerState.HOLDING
            if self._motion is not None:
                self._executor.rest(stopping_point(self._motion, self.limits))

    def _advance_clock(self, now_s: float) -> float:
        """Return how long this tick may move the arm, seconds."""
        duration_s, fault = self._clock.advance(now_s)
        self._enter_hold(fault)
        if fault is not None and fault.kind is FaultKind.CLOCK_BACKWARDS:
            self._inputs.forget()
            self._instruction = None
        return duration_s

    def _current_fault(self, now_s: float, motion: Motion) -> Fault | None:
        if self._state is not ControllerState.ACTIVE:
            return None
        fault = self._inputs.check(now_s)
        if fault is not None or self._instruction is None:
            return fault
        fault = self._instruction.check_age(now_s)
        if fault is not None:
            self._instruction = None
            return fault
        return self._executor.check_wait(now_s, motion.position)

    def _check_workspace(self, motion: Motion) -> Fault | None:
        if self._workspace is None:
            return None
        return self._workspace.check(motion, self.limits, duration_s=self.settings.period_s)

    def _follow(self, now_s: float, duration_s: float, motion: Motion) -> Motion | None:
        setpoint, run_end = self._executor.at(now_s)
        moved = follow(motion, setpoint, run_end, self.limits, duration_s=duration_s)
        fault = self._check_workspace(moved)
        self._enter_hold(fault)
        return moved if fault is None else None

    def _is_open(self, request: DecisionRequest) -> bool:
        return self.state is ControllerState.ACTIVE and self._executor.is_open(request)

    def _hold_reason(self) -> Fault:
        if self.fault is not None:
            return self.fault
        if self.state is ControllerState.INACTIVE:
            return Fault(FaultKind.OPERATOR, "The controller was deactivated.")
        return Fault(FaultKind.NO_INSTRUCTION, "The controller is active and waits for an instruction.")
