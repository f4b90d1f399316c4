"""Instructions as word ids: the vocabulary is the words of a data set's own instructions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from vlm_qsft.errors import InvalidSetting, ShapeMismatch, UnknownName

_WORD = re.compile(r"[\w'-]+")


def split_words(instruction: str) -> list[str]:
    """Return the words of an instruction in lower case, without punctuation."""
    return _WORD.findall(instruction.lower())


@dataclass(frozen=True)
class WordTokenizer:
    """Word <-> id. Id 0 is padding; word k of `words` has id k + 1.

    Attributes:
        words: the vocabulary, sorted.
        longest: words of the longest instruction; the width of every encoded batch.
    """

    words: tuple[str, ...]
    longest: int

    @classmethod
    def fit(cls, instructions: Iterable[str]) -> WordTokenizer:
        """Collect the words of a data set's instructions.

        Raises:
            InvalidSetting: no instruction has a word.
        """
        split = [split_words(instruction) for instruction in instructions]
        words = tuple(sorted({word for words in split for word in words}))
        if not words:
            raise InvalidSetting("The data set's instructions hold no word: a vision-language model needs some.")
        return cls(words, max(len(words) for words in split))

    def encode(
        self, instructions: Sequence[str]
    ) -> tuple[Int64[Tensor, "batch text_len"], Bool[Tensor, "batch text_len"]]:
        """Return word ids padded on the right to `longest`, and the mask of what is not padding.

        Raises:
            UnknownName: a word that no instruction of the data set had.
            ShapeMismatch: an instruction without words, or with more words than any of the data set.
        """
        ids = {word: index + 1 for index, word in enumerate(self.words)}
        text = torch.zeros(len(instructions), self.longest, dtype=torch.int64)
        for row, instruction in enumerate(instructions):
            words = split_words(instruction)
            if not 1 <= len(words) <= self.longest:
                raise ShapeMismatch(
                    f"An instruction must have 1 to {self.longest} words, as those the model was trained on; "
                    f"got {len(words)}: '{instruction}'."
                )
            for column, word in enumerate(words):
                if word not in ids:
                    raise UnknownName("word", word, self.words, where="the instructions of this model")
                text[row, column] = ids[word]
        return text, text > 0

    def to_json(self) -> dict[str, Any]:
        """Return the vocabulary as JSON values."""
        return {"words": list(self.words), "longest": self.longest}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> WordTokenizer:
        """Rebuild a vocabulary from `to_json`."""
        return cls(tuple(document["words"]), int(document["longest"]))
