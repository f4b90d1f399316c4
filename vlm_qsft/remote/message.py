"""One message between policy server and client: a kind, text fields and arrays, as one safetensors document.

safetensors is JSON of names, types, shapes and offsets, then raw numbers: nothing in it can be executed, and its
parser refuses whatever overlaps, overflows or is nested. What is checked here besides: sizes, counts, types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from vlm_qsft.errors import MessageError

KIND = "kind"
LENGTH_BYTES = 8
"""Of the length of the JSON part, little-endian: how every safetensors document begins."""
MAX_HEADER_BYTES = 65_536
"""Of the JSON part; the longest that this library sends, the description of a policy, has a few thousand."""
MAX_ARRAYS = 64
"""Pictures of more cameras than any robot has."""
MAX_DIMENSIONS = 4
MAX_NUMBERS = 2**31
"""Of one array, each of its lengths counted as at least 1: NumPy refuses shapes that would overflow."""
MAX_INTEGER = 2**64 - 1
"""The largest seed."""
DTYPES = {
    "U8": np.dtype(np.uint8),
    "I64": np.dtype(np.int64),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}


@dataclass(frozen=True)
class Message:
    """What one side says.

    Attributes:
        kind: what it is about; the README lists them.
        fields: names and texts.
        arrays: names and numbers, of a type in DTYPES.
    """

    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def text(self, name: str, *, longest: int) -> str:
        """Return a field. Raises MessageError: missing, or more than `longest` characters."""
        if name not in self.fields:
            raise MessageError(f"The message '{self.kind}' lacks the field '{name}'.")
        if len(self.fields[name]) > longest:
            raise MessageError(f"The field '{name}' has {len(self.fields[name])} characters, at most {longest} may be.")
        return self.fields[name]

    def integer(self, name: str) -> int:
        """Return a field that holds a whole number from 0 to MAX_INTEGER. Raises MessageError."""
        word = self.text(name, longest=len(str(MAX_INTEGER)))
        if not (word.isascii() and word.isdecimal()) or int(word) > MAX_INTEGER:
            raise MessageError(f"The field '{name}' holds '{word}'; expected a whole number from 0 to {MAX_INTEGER}.")
        return int(word)

    def names(self, name: str, *, longest: int) -> tuple[str, ...]:
        """Return a field that holds a JSON list of texts. Raises MessageError."""
        listed = self._json(name, longest=longest)
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise MessageError(f"The field '{name}' holds no list of texts.")
        return tuple(listed)

    def record(self, name: str, *, longest: int) -> dict[str, object]:
        """Return a field that holds a JSON object. Raises MessageError."""
        record = self._json(name, longest=longest)
        if not isinstance(record, dict):
            raise MessageError(f"The field '{name}' holds no JSON object.")
        return record

    def array(self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> np.ndarray:
        """Return an array of this type and shape; None stands for any length. Raises MessageError."""
        if name not in self.arrays:
            raise MessageError(f"The message '{self.kind}' lacks the array '{name}'.")
        array = self.arrays[name]
        fits = array.ndim == len(shape) and all(
            expected in (None, length) for expected, length in zip(shape, array.shape, strict=True)
        )
        if array.dtype != dtype or not fits:
            expected = ", ".join("any" if length is None else str(length) for length in shape)
            raise MessageError(
                f"The array '{name}' is {array.dtype} of shape {array.shape}; expected {np.dtype(dtype)} ({expected})."
            )
        return array

    def _json(self, name: str, *, longest: int) -> object:
        try:
            return json.loads(self.text(name, longest=longest))
        except (ValueError, RecursionError) as error:
            raise MessageError(f"The field '{name}' is no JSON: {type(error).__name__}.") from error


def pack(message: Message) -> bytes:
    """Return a message as bytes."""
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    return save(arrays, {KIND: message.kind, **message.fields})


def unpack(document: bytes) -> Message:
    """Return the message in `document`; its arrays are copies.

    Raises:
        MessageError: no safetensors document, or a part of it that no message has.
    """
    header_bytes = int.from_bytes(document[:LENGTH_BYTES], "little")
    if len(document) < LENGTH_BYTES or header_bytes > min(MAX_HEADER_BYTES, len(document) - LENGTH_BYTES):
        raise MessageError(f"{len(document)} bytes are no message: their first part would have {header_bytes}.")
    try:
        parts = deserialize(document)
    except SafetensorError as error:
        raise MessageError(f"{len(document)} bytes are no message: {error}.") from error
    if len(parts) > MAX_ARRAYS:
        raise MessageError(f"A message has at most {MAX_ARRAYS} arrays, got {len(parts)}.")
    header = json.loads(document[LENGTH_BYTES : LENGTH_BYTES + header_bytes])
    fields = dict(header.get("__metadata__") or {})
    kind = fields.pop(KIND, None)
    if kind is None:
        raise MessageError("The message does not say of which kind it is.")
    return Message(kind, fields, {name: _array(name, part) for name, part in parts})


def _array(name: str, part: Mapping) -> np.ndarray:
    dtype = DTYPES.get(part["dtype"])
    if dtype is None:
        raise MessageError(f"The array '{name}' is of type {part['dtype']}; valid: {', '.join(DTYPES)}.")
    shape = part["shape"]
    if len(shape) > MAX_DIMENSIONS or math.prod(max(length, 1) for length in shape) > MAX_NUMBERS:
        raise MessageError(f"The array '{name}' has {len(shape)} dimensions, or too many numbers: {shape[:8]}.")
    return np.frombuffer(part["data"], dtype).reshape(shape)
