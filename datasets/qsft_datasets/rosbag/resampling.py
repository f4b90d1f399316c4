"""From messages at their own times to control steps: pure functions of stamps in nanoseconds.

Tick k is at start + floor(k * 10^9 / rate) ns, computed in whole numbers, so that no drift grows.

    observation at tick t    the last message stamped at or before t (+ tolerance): what the robot knew
    what follows tick t      the first message stamped at or after t and before the next tick: what it was told then;
                             where there is none, the last one before t, which is still in force

A step's action is a command that the robot received after its observation. A command stamped exactly at a tick answers
that tick; every command belongs to one tick at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Int64

NS = 10**9


@dataclass(frozen=True)
class TimeOrder:
    """The messages of a topic in the order of their stamps.

    Attributes:
        order: indices of the kept messages, ascending in their stamps; equal stamps keep their order.
        late: how far each kept message that came after a later stamp lies behind it, as (stamp, ns).
        cut: stamp, ns back, and messages left out, where the clock was set back and the topic ends for this episode.
    """

    order: Int64[np.ndarray, " kept"]
    late: tuple[tuple[int, int], ...] = ()
    cut: tuple[int, int, int] | None = None


def in_time_order(stamps: Int64[np.ndarray, " message"], limit_ns: int) -> TimeOrder:
    """Sort messages by stamp; end where the clock was set back.

    A message that arrives late stands alone behind its predecessors: it is sorted in. A clock that was set back lets
    the same seconds pass twice: a row of messages behind, longer than `limit_ns`. Sorting would mix two times; what
    follows is left out.
    """
    if stamps.size == 0:
        return TimeOrder(np.zeros(0, dtype=np.int64))
    latest = np.maximum.accumulate(stamps)
    behind = stamps < latest
    end = stamps.size
    for first, after in stretches(behind):
        if int(stamps[first:after].max()) - int(stamps[first:after].min()) > limit_ns:
            end = first
            break
    cut = None
    if end < stamps.size:
        cut = (int(latest[end]), int(latest[end] - stamps[end]), stamps.size - end)
        # A stamp that leaps ahead before the clock is set back is a wrong one; the topic does not last until then.
        while end > 1 and int(stamps[end - 1]) - int(stamps[: end - 1].max()) > limit_ns:
            end -= 1
    late = tuple((int(stamps[i]), int(latest[i] - stamps[i])) for i in np.flatnonzero(behind[:end]))
    return TimeOrder(np.argsort(stamps[:end], kind="stable").astype(np.int64), late, cut)


def stretches(flags: Bool[np.ndarray, " step"]) -> list[tuple[int, int]]:
    """Return (first, one past the last) of every run of True."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    firsts, afters = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(firsts.tolist(), afters.tolist(), strict=True))


def tick_count(start_ns: int, end_ns: int, rate: Fraction) -> int:
    """Return how many ticks lie in [start, end]; 0 where the end is before the start."""
    if end_ns < start_ns:
        return 0
    n_ticks = (end_ns - start_ns) * rate.numerator // (NS * rate.denominator) + 1
    # floor of a tick's time may let one more in: k * 10^9 / rate < end - start + 1.
    return n_ticks + (tick_ns(start_ns, n_ticks, rate) <= end_ns)


def tick_ns(start_ns: int, index: int, rate: Fraction) -> int:
    """Return the time of a tick."""
    return start_ns + index * NS * rate.denominator // rate.numerator


def ticks(start_ns: int, n_ticks: int, rate: Fraction) -> Int64[np.ndarray, " tick"]:
    """Return the times of the first ticks."""
    return np.array([tick_ns(start_ns, index, rate) for index in range(n_ticks)], dtype=np.int64)


def held(
    stamps: Int64[np.ndarray, " message"], times: Int64[np.ndarray, " tick"], tolerance_ns: int = 0
) -> Int64[np.ndarray, " tick"]:
    """Return the last message at or before every tick plus the tolerance; -1 where there is none.

    Args:
        stamps: ascending.
    """
    return np.searchsorted(stamps, times + tolerance_ns, side="right") - 1


def following(
    stamps: Int64[np.ndarray, " message"], times: Int64[np.ndarray, " tick"], next_ns: int
) -> Int64[np.ndarray, " tick"]:
    """Return the first message at or after every tick and before the next one, else the last before; -1 for none.

    Args:
        stamps: ascending.
        next_ns: the tick after the last.
    """
    first = np.searchsorted(stamps, times, side="left")
    until = np.searchsorted(stamps, np.append(times[1:], next_ns), side="left")
    return np.where(first < until, first, first - 1)


def silences(stamps: Int64[np.ndarray, " message"], start_ns: int, end_ns: int, limit_ns: int) -> list[tuple[int, int]]:
    """Return (last message, ns) of every stretch in [start, end] without a message that is longer than the limit."""
    first = max(int(np.searchsorted(stamps, start_ns, side="right")) - 1, 0)
    after = int(np.searchsorted(stamps, end_ns, side="right"))
    inside = np.append(stamps[first:after], end_ns)
    lengths = np.diff(inside)
    return [(int(inside[i]), int(lengths[i])) for i in np.flatnonzero(lengths > limit_ns)]
