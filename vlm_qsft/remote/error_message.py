"""Errors on the wire: what a local policy would have raised is raised at the client, with the same text."""

from __future__ import annotations

import json

from vlm_qsft.errors import (
    InvalidSetting,
    NotFinite,
    PolicyServerError,
    QsftError,
    ShapeMismatch,
    UnknownName,
)
from vlm_qsft.remote.message import Message
from vlm_qsft.remote.protocol import ERROR, REFUSED

LONGEST_TEXT = 4000
LONGEST_NAMES = 40_000
_KINDS: dict[str, type[QsftError]] = {kind.__name__: kind for kind in (InvalidSetting, NotFinite, ShapeMismatch)}


def pack_error(error: QsftError, *, sequence: int) -> Message:
    """Return the answer to a question that the policy cannot decide; the next one may be asked."""
    fields = {"sequence": str(sequence), "error": type(error).__name__, "text": str(error)[:LONGEST_TEXT]}
    if isinstance(error, UnknownName):
        fields |= {"name": error.name[:LONGEST_TEXT], "valid": json.dumps(_fitting(error.valid))}
    return Message(ERROR, fields)


def read_error(message: Message) -> QsftError:
    """Return the error in an answer. Raises `vlm_qsft.errors.MessageError`: there is none."""
    kind, text = message.text("error", longest=100), printable(message.text("text", longest=LONGEST_TEXT))
    if kind == UnknownName.__name__:
        name = printable(message.text("name", longest=LONGEST_TEXT))
        return UnknownName.restored(text, name, message.names("valid", longest=LONGEST_NAMES))
    return _KINDS.get(kind, PolicyServerError)(text)


def pack_refusal(text: str) -> Message:
    """Return the last message of a server on a connection that it closes."""
    return Message(REFUSED, {"text": text[:LONGEST_TEXT]})


def read_refusal(message: Message) -> str:
    """Return why a server closes the connection."""
    return printable(message.text("text", longest=LONGEST_TEXT))


def printable(text: str) -> str:
    """Return a text of the other side as it may stand in a log: on one line, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _fitting(names: list[str]) -> list[str]:
    """Return as many of the first names as one message carries."""
    kept, room = [], LONGEST_NAMES - 2
    for name in names:
        room -= len(json.dumps(name)) + 2
        if room < 0:
            break
        kept.append(name)
    return kept
