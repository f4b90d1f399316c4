"""From the tokens that a model says to text, without cutting a character in two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from vlm_qsft.dialogue.chat.chat import Fragment
from vlm_qsft.dialogue.rendering import Renderer

MOST_OPEN = 8
"""Tokens that may wait for the rest of a character; one has four bytes at most."""

_INCOMPLETE = "\ufffd"


class TokenSource(Protocol):
    """Whatever says one token after the other."""

    def begin(self, prompt: Sequence[int]) -> None:
        """Begin an answer to a prompt."""
        ...

    def next(self) -> tuple[int, float]:
        """Return the next token and its Q-value in [0, 1], NaN where it has none."""
        ...

    def forget(self) -> None:
        """Forget the conversation: the next prompt is of another."""
        ...


def spoken(source: TokenSource, renderer: Renderer, *, most_tokens: int) -> Iterator[Fragment]:
    """Yield the answer to the prompt that the source has begun with, without its end token.

    Args:
        most_tokens: after so many the answer ends, finished or not, with a notice.
    """
    token_ids: list[int] = []
    said = 0
    q_values: list[float] = []
    for _ in range(most_tokens):
        token, q_value = source.next()
        is_end = renderer.is_end(token)
        token_ids.append(token)
        q_values.append(q_value)
        text = renderer.text_of(token_ids)
        if text.endswith(_INCOMPLETE) and len(q_values) < MOST_OPEN and not is_end:
            continue
        if len(text) > said:
            yield Fragment(text[said:], _mean(q_values))
            said, q_values = len(text), []
        if is_end:
            return
    yield Fragment(f"(cut off after {most_tokens} tokens)", is_notice=True)


def _mean(q_values: Sequence[float]) -> float:
    known = [q_value for q_value in q_values if not math.isnan(q_value)]
    return math.fsum(known) / len(known) if known else math.nan
