"""How long one control tick may move the arm, and whether the control clock can be believed."""

from __future__ import annotations

import math

from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.control.settings import ControlSettings


class TickClock:
    """The time of the last tick. A tick never moves the arm farther than one period allows, however late it comes."""

    def __init__(self, settings: ControlSettings) -> None:
        self._settings = settings
        self._last_s: float | None = None

    def begin(self, now_s: float) -> None:
        """Count from now on: what passed while the controller commanded nothing is no gap between ticks."""
        self._last_s = now_s

    def advance(self, now_s: float) -> tuple[float, Fault | None]:
        """Return how long this tick may move the arm, seconds, and what is wrong with its time, or None."""
        period_s, last_s = self._settings.period_s, self._last_s
        if not math.isfinite(now_s):
            return period_s, Fault(FaultKind.NOT_FINITE, f"The control clock says {now_s}.")
        self._last_s = now_s
        if last_s is None:
            return period_s, None
        elapsed_s = now_s - last_s
        if elapsed_s < 0:
            # The loop is periodic even when its clock is not: brake as over one period.
            text = f"The control clock went back by {-elapsed_s:.3f} s."
            return period_s, Fault(FaultKind.CLOCK_BACKWARDS, text)
        if elapsed_s > self._settings.max_tick_gap_s:
            allowed_s = self._settings.max_tick_gap_s
            text = f"{elapsed_s:.3f} s between two control ticks, at most {allowed_s:g} s allowed."
            return period_s, Fault(FaultKind.LATE_TICK, text)
        return min(elapsed_s, period_s), None
