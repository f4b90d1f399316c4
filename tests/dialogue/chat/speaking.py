"""A source of tokens that says given texts, for tests of everything around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..test_chat_template import chat_tokenizer

TOKENIZER: Any = chat_tokenizer()
START, END = TOKENIZER.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])


def tokens_of(text: str) -> list[int]:
    return list(TOKENIZER(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


class Speaker:
    """Says one text per prompt, each token with the next Q-value, and keeps the prompts."""

    def __init__(self, *texts: str, q_values: Sequence[float] = ()) -> None:
        self.prompts: list[list[int]] = []
        self.forgotten_before: list[int] = []
        self._texts = [[*tokens_of(text), END] for text in texts]
        self._q_values = list(q_values)
        self._left: list[int] = []

    def begin(self, prompt: Sequence[int]) -> None:
        self.prompts.append(list(prompt))
        self._left = list(self._texts[min(len(self.prompts), len(self._texts)) - 1])

    def forget(self) -> None:
        self.forgotten_before.append(len(self.prompts))

    def next(self) -> tuple[int, float]:
        return self._left.pop(0), self._q_values.pop(0) if self._q_values else math.nan
