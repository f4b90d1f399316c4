"""What sensors do when they fail, for tests of whoever relies on them.

A reading goes in with its stamp and comes out as it would arrive: as it is, later, changed, or not at all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from vlm_qsft.errors import InvalidSetting, UnknownName


class SensorFault(StrEnum):
    """How a sensor fails.

    NONE: not at all. LATE: everything arrives with the stamp of its time, but later. FROZEN: the last content before
    the fault, with fresh stamps. DROPPED: nothing arrives. BLACK: pictures are zero everywhere. NOT_FINITE: numbers
    are NaN. CLOCK_BACK: stamps lie in the past by the delay, as after a clock was set back.
    """

    NONE = "none"
    LATE = "late"
    FROZEN = "frozen"
    DROPPED = "dropped"
    BLACK = "black"
    NOT_FINITE = "not_finite"
    CLOCK_BACK = "clock_back"


PICTURE_FAULTS = frozenset(SensorFault) - {SensorFault.NOT_FINITE}
NUMBER_FAULTS = frozenset(SensorFault) - {SensorFault.BLACK}


EARLIEST_S = 1e-3
"""The least stamp of a clock that was set back: zero would say that the stamp was never set."""


@dataclass(frozen=True)
class Reading:
    """What a sensor delivers.

    Attributes:
        stamp_s: when it was taken, on the sensor's clock.
        content: a picture (height, width, 3) uint8, or numbers in float64.
    """

    stamp_s: float
    content: np.ndarray


class FaultySensor:
    """One sensor and the fault it has at the moment."""

    def __init__(self, name: str, *, is_camera: bool) -> None:
        self.name = name
        self._possible = PICTURE_FAULTS if is_camera else NUMBER_FAULTS
        self._fault = SensorFault.NONE
        self._delay_s = 0.0
        self._waiting: deque[tuple[float, Reading]] = deque()
        self._last: np.ndarray | None = None

    @property
    def fault(self) -> SensorFault:
        """How it fails at the moment."""
        return self._fault

    def fail(self, fault: str, *, delay_s: float) -> None:
        """Fail like this from now on.

        What waits to arrive late arrives with the next reading, before it: on an ordered transport nothing overtakes.

        Args:
            fault: value of a `SensorFault`.
            delay_s: of LATE and CLOCK_BACK, seconds.

        Raises:
            UnknownName: no such fault, or one that this sensor cannot have.
            InvalidSetting: a delay that is not positive.
        """
        if fault not in {possible.value for possible in self._possible}:
            valid = [possible.value for possible in self._possible]
            raise UnknownName("fault", fault, valid, where=f"sensor '{self.name}'")
        if not (np.isfinite(delay_s) and delay_s > 0):
            raise InvalidSetting(f"The delay of a fault must be a positive number of seconds, got {delay_s}.")
        self._fault, self._delay_s = SensorFault(fault), delay_s

    def deliver(self, reading: Reading) -> list[Reading]:
        """Return what arrives at the time of this reading, in the order of arrival."""
        now_s, content = reading.stamp_s, reading.content
        is_late = self._fault is SensorFault.LATE
        n_due = sum(at_s <= now_s for at_s, _ in self._waiting) if is_late else len(self._waiting)
        due = [self._waiting.popleft()[1] for _ in range(n_due)]
        match self._fault:
            case SensorFault.DROPPED:
                return due
            case SensorFault.LATE:
                self._waiting.append((now_s + self._delay_s, reading))
                return due
            case SensorFault.FROZEN:
                return [*due, Reading(now_s, content if self._last is None else self._last)]
            case SensorFault.BLACK:
                return [*due, Reading(now_s, np.zeros_like(content))]
            case SensorFault.NOT_FINITE:
                return [*due, Reading(now_s, np.full_like(content, np.nan))]
            case SensorFault.CLOCK_BACK:
                return [*due, Reading(max(now_s - self._delay_s, EARLIEST_S), content)]
            case SensorFault.NONE:
                self._last = content
                return [*due, reading]
