"""Text from outside without what a terminal, a page or a tokenizer could take for more than text."""

from __future__ import annotations

import re

LONGEST_TEXT = 100_000
"""Characters of one text that is listened to."""

# Control characters but line end and tab, lone surrogates, and the marks that turn the direction of writing.
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LINE_ENDS = re.compile("\r\n?")
REPLACEMENT = "\ufffd"


def plain_text(text: str) -> str:
    """Return a text whose only control characters are line ends and tabs; the others show as a replacement mark."""
    return _NO_TEXT.sub(REPLACEMENT, _LINE_ENDS.sub("\n", text))


def one_line(text: str) -> str:
    """Return a plain text in one line."""
    return " ".join(plain_text(text).split())
