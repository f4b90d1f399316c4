"""Which messages of several inputs belong together: approximate synchronisation by stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlm_qsft.errors import InvalidSetting, UnknownName


@dataclass(frozen=True)
class Match:
    """One message of every input.

    Attributes:
        values: input -> what it sent.
        stamp_s: the oldest of their stamps, seconds on the control clock.
        spread_s: between the oldest and the newest stamp.
    """

    values: Mapping[str, Any]
    stamp_s: float
    spread_s: float


class Synchronizer:
    """The last messages of every input, and the newest set whose stamps lie close together.

    The newest message of the slowest input leads; every other input gives its message nearest to it in time.
    """

    def __init__(self, depths: Mapping[str, int], *, tolerance_s: float) -> None:
        """Keep the last `depths[name]` messages of every input.

        Args:
            depths: input -> how many messages to keep: enough to reach back to the slowest input.
            tolerance_s: stamps of one match differ by at most this, seconds.

        Raises:
            InvalidSetting: no input, a depth below 1, a tolerance that is not positive.
        """
        if not depths or min(depths.values()) < 1 or not tolerance_s > 0:
            raise InvalidSetting(
                f"A synchronizer needs inputs, a depth of 1 or more for each and a positive tolerance; "
                f"got {dict(depths)} and {tolerance_s}."
            )
        self.tolerance_s = tolerance_s
        self._kept: dict[str, deque[tuple[float, Any]]] = {name: deque(maxlen=depth) for name, depth in depths.items()}

    def add(self, name: str, stamp_s: float, value: object) -> None:
        """Keep a message. Raises UnknownName: no such input.

        Args:
            name: of the input.
            stamp_s: when it was measured, seconds on the control clock.
            value: what a match gives back; kept as it is, never copied.
        """
        if name not in self._kept:
            raise UnknownName("input", name, self._kept, where="the synchronizer")
        kept = self._kept[name]
        if kept and stamp_s < kept[-1][0]:
            kept.clear()  # the sender's clock was set back: what came before cannot be compared
        kept.append((stamp_s, value))

    def forget(self) -> None:
        """Drop everything that was kept."""
        for kept in self._kept.values():
            kept.clear()

    def match(self, not_before_s: float) -> Match | None:
        """Return the newest messages that belong together, or None where there are none yet.

        Args:
            not_before_s: no message of the match is older than this, seconds on the control clock.
        """
        if not all(self._kept.values()):
            return None
        leading_s = min(kept[-1][0] for kept in self._kept.values())
        nearest = {name: min(kept, key=lambda entry: abs(entry[0] - leading_s)) for name, kept in self._kept.items()}
        stamps = [stamp_s for stamp_s, _ in nearest.values()]
        if min(stamps) < not_before_s or max(stamps) - min(stamps) > self.tolerance_s:
            return None
        values = {name: value for name, (_, value) in nearest.items()}
        return Match(values, min(stamps), max(stamps) - min(stamps))
