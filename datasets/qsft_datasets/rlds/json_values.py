"""Values of JSON objects that come from elsewhere, taken without trusting them."""

from __future__ import annotations

from vlm_qsft.errors import DatasetError

Json = dict[str, object]


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
