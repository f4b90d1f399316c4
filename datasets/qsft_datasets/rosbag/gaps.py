"""What a resampler had to bridge, in words: topic, time and length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

MOST_PER_KIND = 20
"""Lines of one kind on one topic; the rest is summed up."""


@dataclass(frozen=True)
class Gap:
    """One thing that is not as a control loop would have it.

    Attributes:
        topic: on which.
        at_ns: stamp at which it begins.
        length_ns: how long it lasts, or how far it goes back.
        what: in words.
    """

    topic: str
    at_ns: int
    length_ns: int
    what: str


def in_words(gaps: Iterable[Gap], start_ns: int) -> tuple[str, ...]:
    """Return one line per gap: "/camera:data at 12.300 s: no message for 0.433 s".

    Args:
        start_ns: of the episode; times are counted from it.
    """
    by_kind: dict[tuple[str, str], list[Gap]] = defaultdict(list)
    for gap in dict.fromkeys(gaps):
        by_kind[gap.topic, gap.what].append(gap)
    lines = []
    for (topic, what), kind in by_kind.items():
        for gap in kind[:MOST_PER_KIND]:
            lines.append(f"{topic} at {(gap.at_ns - start_ns) / 1e9:.3f} s: {what}, {gap.length_ns / 1e9:.3f} s")
        rest = kind[MOST_PER_KIND:]
        if rest:
            total_s = sum(gap.length_ns for gap in rest) / 1e9
            lines.append(f"{topic}: {what}, {len(rest)} more times, {total_s:.3f} s in all")
    return tuple(lines)
