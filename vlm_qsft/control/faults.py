"""Why a robot holds: the kind of fault for programs, one sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """Everything that keeps the controller from moving; the value is the word for diagnostics and logs."""

    NOT_FINITE = "not_finite"
    WRONG_SIZE = "wrong_size"
    JUMP = "jump"
    OUTSIDE_LIMITS = "outside_limits"
    OUTSIDE_WORKSPACE = "outside_workspace"
    STALE_INPUT = "stale_input"
    FROZEN_PICTURE = "frozen_picture"
    BLANK_PICTURE = "blank_picture"
    UNREADABLE_INPUT = "unreadable_input"
    CLOCK_BACKWARDS = "clock_backwards"
    LATE_TICK = "late_tick"
    LATE_DECISION = "late_decision"
    NO_INSTRUCTION = "no_instruction"
    INSTRUCTION_EXPIRED = "instruction_expired"
    LOW_VALUE = "low_value"
    POLICY_ERROR = "policy_error"
    OPERATOR = "operator"
    EMERGENCY_STOP = "emergency_stop"


@dataclass(frozen=True)
class Fault:
    """One reason to hold.

    Attributes:
        kind: what a program tests.
        text: one sentence that names the input or axis, what was expected and what came.
    """

    kind: FaultKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.text}"
