"""Self-loops: what was said in a state and led back to the same state."""

from __future__ import annotations

from collections.abc import Sequence

TokenIds = tuple[int, ...]


class SelfLoops:
    """Remembers the action texts of one conversation since its state last changed.

    A state is the tokens that a policy sees. Where they are those of the turn before, whatever was said in between
    changed nothing that can be seen: an illegal move, a step against a wall. Contexts that hold all turns never return.
    """

    def __init__(self) -> None:
        self._state: TokenIds = ()
        self._said: set[TokenIds] = set()

    def entered(self, state: Sequence[int]) -> frozenset[TokenIds]:
        """Return the action texts that led from this state to itself, since it was entered from another."""
        if tuple(state) != self._state:
            self._state, self._said = tuple(state), set()
        return frozenset(self._said)

    def add(self, text: Sequence[int]) -> None:
        """Remember what is said in the state that was entered last."""
        self._said.add(tuple(text))
