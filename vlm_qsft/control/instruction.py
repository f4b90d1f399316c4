"""What the robot is told to do, and until when."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.errors import InvalidSetting


@dataclass(frozen=True)
class Instruction:
    """What the robot is told to do, and until when.

    Attributes:
        text: as given to the policy.
        received_s: seconds on the control clock.
        time_limit_s: after this the arm holds, seconds; None for no limit.
    """

    text: str
    received_s: float
    time_limit_s: float | None

    def __post_init__(self) -> None:
        """Raises InvalidSetting: no word, a time that is not a number, a time limit that is not positive."""
        if not self.text.strip():
            raise InvalidSetting("An instruction must have at least one word.")
        if not math.isfinite(self.received_s):
            raise InvalidSetting(f"The time of an instruction must be a number of seconds, got {self.received_s}.")
        limit_s = self.time_limit_s
        if limit_s is not None and not (math.isfinite(limit_s) and limit_s > 0):
            raise InvalidSetting(f"time_limit_s must be a positive number of seconds or None, got {limit_s}.")

    def check_age(self, now_s: float) -> Fault | None:
        """Return a fault when the time limit is over, else None."""
        age_s = now_s - self.received_s
        if self.time_limit_s is None or age_s <= self.time_limit_s:
            return None
        text = f"Instruction '{self.text}' is {age_s:.1f} s old, its time limit is {self.time_limit_s:g} s."
        return Fault(FaultKind.INSTRUCTION_EXPIRED, text)
