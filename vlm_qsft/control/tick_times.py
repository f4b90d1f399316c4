"""How regularly the control loop runs: every tick is measured."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

WINDOW = 1000
"""Ticks that the statistics cover: 100 s at 10 Hz; enough for a 99th percentile."""


@dataclass(frozen=True)
class TickStatistics:
    """Of the last ticks; seconds.

    Attributes:
        n_ticks: how many were measured since the beginning.
        period_s: median time between two ticks.
        jitter_p99_s: 99th percentile of the distance of a period from the nominal one.
        jitter_max_s: the largest of them.
        busy_p99_s: 99th percentile of the time a tick took.
    """

    n_ticks: int
    period_s: float
    jitter_p99_s: float
    jitter_max_s: float
    busy_p99_s: float


class TickTimes:
    """The periods and durations of the last ticks, on a steady clock."""

    def __init__(self, period_s: float) -> None:
        """Measure ticks whose nominal distance is `period_s`."""
        self._nominal_s = period_s
        self._last_s: float | None = None
        self._periods: deque[float] = deque(maxlen=WINDOW)
        self._busy: deque[float] = deque(maxlen=WINDOW)
        self._count = 0

    def note(self, begin_s: float, end_s: float) -> None:
        """Note one tick, from its begin to its end."""
        if self._last_s is not None:
            self._periods.append(begin_s - self._last_s)
        self._last_s = begin_s
        self._busy.append(end_s - begin_s)
        self._count += 1

    def since_last_s(self, now_s: float) -> float:
        """Return how long ago the last tick began, seconds; 0 before the first."""
        return 0.0 if self._last_s is None else now_s - self._last_s

    def statistics(self) -> TickStatistics | None:
        """Return the statistics of the last ticks; None before the second one."""
        if not self._periods:
            return None
        periods = np.array(self._periods)
        jitter = np.abs(periods - self._nominal_s)
        return TickStatistics(
            n_ticks=self._count,
            period_s=float(np.median(periods)),
            jitter_p99_s=float(np.quantile(jitter, 0.99)),
            jitter_max_s=float(jitter.max()),
            busy_p99_s=float(np.quantile(np.array(self._busy), 0.99)),
        )
