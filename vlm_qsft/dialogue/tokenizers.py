"""What a renderer needs of a tokenizer, and the tokenizers of the small models: characters, and whole pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


_PIECE = re.compile(r" ?[^\W_]+| ?[^\w\s]|\s|_")
"""A word, a number or a mark, with the blank before it; else one blank."""


def pieces_of(text: str) -> list[str]:
    """Return the words, numbers and marks of a text, each with the blank before it, and its other blanks."""
    return _PIECE.findall(text)


@dataclass(frozen=True)
class PieceTokenizer:
    """One token per word, number or mark with the blank before it, and one per character for everything else.

    A text game then has a third of the tokens that characters would make of it. What belongs together in a game, as the
    letters of a guess do, can be one token by a pattern of the game's own. Every text of known characters can be
    encoded; those of the game come out as pieces.

    Attributes:
        vocabulary: the tokens, each once; token k has id k.
        pattern: regular expression of larger pieces, tried before words, numbers and marks; empty for none. It has no
            capturing group and matches no empty text.
    """

    vocabulary: tuple[str, ...]
    pattern: str = ""
    _ids: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _piece: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            InvalidSetting: no token, or one twice; a pattern that is none.
        """
        object.__setattr__(self, "_ids", {piece: number for number, piece in enumerate(self.vocabulary)})
        if not self.vocabulary or len(self._ids) != len(self.vocabulary) or "" in self._ids:
            raise InvalidSetting("A vocabulary holds every token once, and no empty one.")
        object.__setattr__(self, "_piece", _pieces_by(self.pattern))

    @classmethod
    def fit(cls, texts: Iterable[str], *, pattern: str = "") -> PieceTokenizer:
        """Collect the pieces and the characters of texts, sorted.

        Raises:
            InvalidSetting: the texts are empty, or the pattern is none.
        """
        distinct, piece_of = set(texts), _pieces_by(pattern)
        pieces = {piece for text in distinct for piece in piece_of.findall(text)}
        return cls(tuple(sorted(pieces.union(*distinct))), pattern)

    @property
    def n_tokens(self) -> int:
        """Return the size of the vocabulary."""
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Return the ids of the pieces; a piece that is not in the vocabulary goes character by character.

        Raises:
            UnknownName: a character outside the vocabulary.
        """
        ids = self._ids
        token_ids: list[int] = []
        for piece in self._piece.findall(text):
            if piece in ids:
                token_ids.append(ids[piece])
                continue
            for character in piece:
                if character not in ids:
                    known = [token for token in self.vocabulary if len(token) == 1]
                    raise UnknownName("character", character, known, where="the vocabulary of this model")
                token_ids.append(ids[character])
        return token_ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text.

        Raises:
            ShapeMismatch: an id outside the vocabulary.
        """
        for token_id in token_ids:
            if not 0 <= token_id < len(self.vocabulary):
                raise ShapeMismatch(f"Token ids must lie in 0..{len(self.vocabulary) - 1}; got {token_id}.")
        return "".join(self.vocabulary[token_id] for token_id in token_ids)

    def to_json(self) -> dict[str, Any]:
        """Return vocabulary and pattern as JSON values."""
        return {"vocabulary": list(self.vocabulary), "pattern": self.pattern}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PieceTokenizer:
        """Rebuild a tokenizer from `to_json`; a document of before there were patterns has none.

        Raises:
            InvalidSetting: no vocabulary, or a pattern that is none.
        """
        return cls(tuple(map(str, document["vocabulary"])), document.get("pattern", ""))


def _pieces_by(pattern: str) -> re.Pattern[str]:
    if not isinstance(pattern, str):
        raise InvalidSetting(f"The pattern of pieces must be a text; got {pattern!r}.")
    if not pattern:
        return _PIECE
    try:
        larger = re.compile(pattern)
    except re.error as error:
        raise InvalidSetting(f"The pattern of pieces {pattern!r} is no regular expression: {error}.") from error
    if larger.groups or larger.match(""):
        raise InvalidSetting(f"The pattern of pieces {pattern!r} has a capturing group or matches an empty text.")
    return re.compile(f"{pattern}|{_PIECE.pattern}")
