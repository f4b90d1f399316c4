"""What a renderer needs of a tokenizer, and the tokenizer of the small models: one token per character."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from vlm_qsft.errors import InvalidSetting, ShapeMismatch, UnknownName


@runtime_checkable
class TextTokenizer(Protocol):
    """Text <-> token ids, one text at a time; no text may come out as a control token."""

    @property
    def n_tokens(self) -> int:
        """Return the size of the vocabulary."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of token ids."""
        ...


@dataclass(frozen=True)
class CharacterTokenizer:
    """One token per character.

    Attributes:
        alphabet: the characters, each once; character k has id k.
    """

    alphabet: str

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            InvalidSetting: no character, or one twice.
        """
        if not self.alphabet or len(set(self.alphabet)) != len(self.alphabet):
            raise InvalidSetting(f"An alphabet holds every character once; got {self.alphabet!r}.")

    @classmethod
    def fit(cls, texts: Iterable[str]) -> CharacterTokenizer:
        """Collect the characters of texts, sorted.

        Raises:
            InvalidSetting: the texts are empty.
        """
        return cls("".join(sorted(set().union(*texts))))

    @property
    def n_tokens(self) -> int:
        """Return the number of characters."""
        return len(self.alphabet)

    def encode(self, text: str) -> list[int]:
        """Return one id per character.

        Raises:
            UnknownName: a character outside the alphabet.
        """
        token_ids = [self.alphabet.find(character) for character in text]
        if -1 in token_ids:
            raise UnknownName("character", text[token_ids.index(-1)], self.alphabet, where="the alphabet of this model")
        return token_ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text.

        Raises:
            ShapeMismatch: an id outside the alphabet.
        """
        for token_id in token_ids:
            if not 0 <= token_id < len(self.alphabet):
                raise ShapeMismatch(f"Token ids must lie in 0..{len(self.alphabet) - 1}; got {token_id}.")
        return "".join(self.alphabet[token_id] for token_id in token_ids)

    def to_json(self) -> dict[str, Any]:
        """Return the alphabet as JSON values."""
        return {"alphabet": self.alphabet}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CharacterTokenizer:
        """Rebuild a tokenizer from `to_json`."""
        return cls(str(document["alphabet"]))
