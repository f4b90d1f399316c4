"""JSON objects that come from elsewhere, read without trusting them."""

from __future__ import annotations

import json
from pathlib import Path

from vlm_qsft.errors import DatasetError

Json = dict[str, object]
MAX_BYTES = 64 * 1024**2
"""No description of a data set is larger; a video that was given this name is."""


def read_object(path: Path) -> Json:
    """Read a JSON object.

    Raises:
        DatasetError: missing, unreadable, or no JSON object.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError(f"{path} has {path.stat().st_size} bytes: it is no description of a data set.")
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing.") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is no valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no JSON object.")
    return content


def whole_number(value: object, what: str) -> int:
    """Return a whole number, which protocol buffers write as text and people as a number.

    Raises:
        DatasetError: neither.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and value.isascii() and len(value) <= 20:
        return int(value)
    raise DatasetError(f"{what} is {str(value)[:80]!r}; expected a whole number")


def text(value: object, what: str) -> str:
    """Return a text.

    Raises:
        DatasetError: something else.
    """
    if not isinstance(value, str):
        raise DatasetError(f"{what} is {str(value)[:80]!r}; expected a text")
    return value


def mapping(value: object, what: str) -> Json:
    """Return a JSON object.

    Raises:
        DatasetError: something else.
    """
    if not isinstance(value, dict):
        raise DatasetError(f"{what} is {str(value)[:80]!r}; expected an object")
    return value


def sequence(value: object, what: str) -> list[object]:
    """Return a JSON list.

    Raises:
        DatasetError: something else.
    """
    if not isinstance(value, list):
        raise DatasetError(f"{what} is {str(value)[:80]!r}; expected a list")
    return value
