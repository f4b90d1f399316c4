"""Repeats: what was said in a state before, and is not to be said there again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

TokenIds = tuple[int, ...]


class Barred(NamedTuple):
    """Action texts that were said in a state before.

    Attributes:
        refused: led from it back to it, as an illegal move or a step against a wall: not to be said there again.
        tried: led to other states, from which the conversation came back: to be said again only where nothing else
            is in the support.
    """

    refused: frozenset[TokenIds] = frozenset()
    tried: frozenset[TokenIds] = frozenset()


class SaidBefore:
    """Remembers the action texts of one conversation, by the state in which they were said.

    A state is what a policy sees of a conversation, see `TextFormat.state_of`. Contexts that hold all turns never
    return to one.
    """

    def __init__(self) -> None:
        self._state = ""
        self._last: TokenIds | None = None
        self._refused: dict[str, set[TokenIds]] = {}
        self._tried: dict[str, set[TokenIds]] = {}

    def entered(self, state: str) -> Barred:
        """Return what was said in this state before; what was said last led here."""
        if self._last is not None:
            led_back = self._refused if state == self._state else self._tried
            led_back.setdefault(self._state, set()).add(self._last)
        self._state, self._last = state, None
        refused = frozenset(self._refused.get(state, ()))
        return Barred(refused, frozenset(self._tried.get(state, ())) - refused)

    def add(self, text: Sequence[int]) -> None:
        """Remember what is said in the state that was entered last."""
        self._last = tuple(text)
