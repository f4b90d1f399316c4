"""The wire format of protocol buffers, read strictly: whatever no serialiser writes is an error, never a guess."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vlm_qsft.errors import DatasetError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
MAX_FIELD_NUMBER = 2**29 - 1


def read_varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the unsigned number at `position` and the position after it.

    Raises:
        DatasetError: truncated, or longer than 64 bits.
    """
    result = shift = 0
    for index in range(position, min(end, position + MAX_VARINT_BYTES)):
        byte = content[index]
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            if result >> 64:
                raise DatasetError(f"byte {position}: a varint has more than 64 bits")
            return result, index + 1
        shift += 7
    if end - position < MAX_VARINT_BYTES:
        raise DatasetError(f"byte {position}: a varint is truncated")
    raise DatasetError(f"byte {position}: a varint has more than {MAX_VARINT_BYTES} bytes")


def fields(content: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the fields of a message as (number, wire type, first, last).

    Of a field with content, `first` and `last` are where its content begins and ends; of a varint, `first` is its value
    and `last` is 0.

    Raises:
        DatasetError: not a message; names the byte.
    """
    position = start
    while position < end:
        begin = position
        tag, position = read_varint(content, position, end)
        number, kind = tag >> 3, tag & 7
        if not 0 < number <= MAX_FIELD_NUMBER:
            raise DatasetError(f"byte {begin}: no message has a field number {number}")
        if kind == VARINT:
            value, position = read_varint(content, position, end)
            yield number, kind, value, 0
            continue
        if kind == BYTES:
            size, position = read_varint(content, position, end)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise DatasetError(f"byte {begin}: wire type {kind} of field {number} is none that is in use")
        if size > end - position:
            raise DatasetError(f"byte {begin}: field {number} claims {size} bytes, {end - position} are left")
        yield number, kind, position, position + size
        position += size


def packed_varints(content: bytes, start: int, end: int) -> np.ndarray:
    """Return a packed list of varints as int64 (n,).

    Raises:
        DatasetError: the last one is truncated, or one has more than 64 bits.
    """
    raw = np.frombuffer(content, np.uint8, end - start, start)
    if raw.size == 0:
        return np.zeros(0, np.int64)
    if raw[-1] >= 0x80:
        raise DatasetError(f"byte {end - 1}: the last varint of a list is truncated")
    if raw.max() < 0x80:
        return raw.astype(np.int64)
    last = np.flatnonzero(raw < 0x80)
    first = np.concatenate([[0], last[:-1] + 1])
    extra = last - first
    longest = int(extra.max())
    if longest >= MAX_VARINT_BYTES or (raw[last[extra == MAX_VARINT_BYTES - 1]] > 1).any():
        raise DatasetError(f"bytes {start} to {end}: a varint of a list has more than 64 bits")
    values = np.zeros(len(last), np.uint64)
    for place in range(longest + 1):
        rows = np.flatnonzero(extra >= place)
        values[rows] |= (raw[first[rows] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    return values.view(np.int64)


def packed_floats(content: bytes, start: int, end: int) -> np.ndarray:
    """Return a packed list of float32 as an array of its own (n,).

    Raises:
        DatasetError: not a whole number of values.
    """
    if (end - start) % 4:
        raise DatasetError(f"byte {start}: {end - start} bytes are no whole number of float32")
    return np.frombuffer(content, "<f4", (end - start) // 4, start).astype(np.float32)
