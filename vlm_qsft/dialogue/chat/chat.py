"""What terminal and page show of any conversation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Fragment:
    """A part of an answer, as soon as it is there.

    Attributes:
        text: of it.
        q_value: of the tokens that it is made of, in [0, 1]; NaN where there is none.
        is_notice: it is said about the conversation, not in it.
    """

    text: str
    q_value: float = math.nan
    is_notice: bool = False


class Chat(Protocol):
    """One conversation."""

    @property
    def greeting(self) -> str:
        """Return with whom one talks and how."""
        ...

    def hear(self, text: str) -> Iterator[Fragment]:
        """Answer a person; an answer may be left before its end."""
        ...

    def begin_anew(self) -> str:
        """Forget everything and return what to say about it."""
        ...
