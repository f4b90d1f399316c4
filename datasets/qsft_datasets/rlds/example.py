"""tf.train.Example without TensorFlow: one serialised record -> named lists of bytes, float32 or int64.

message Example   { Features features = 1; }
message Features  { map<string, Feature> feature = 1; }
message Feature   { oneof kind { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; } }
message BytesList { repeated bytes value = 1; }      likewise FloatList and Int64List, packed or not
"""

from __future__ import annotations

from array import array

import numpy as np

from qsft_datasets.rlds.wire import BYTES, FIXED32, VARINT, fields, packed_floats, packed_varints
from vlm_qsft.errors import DatasetError

FeatureValues = list[bytes] | np.ndarray
"""A list of bytes, or a float32 or int64 array of one dimension. An empty list of bytes also stands for a feature
without any kind."""


def parse_example(record: bytes) -> dict[str, FeatureValues]:
    """Return the features of a serialised tf.train.Example.

    Raises:
        DatasetError: no such message; says at which byte and in which feature.
    """
    result: dict[str, FeatureValues] = {}
    for number, kind, start, end in fields(record, 0, len(record)):
        if number != 1:
            continue
        _expect(kind, BYTES, "Example.features")
        for entry, entry_kind, entry_start, entry_end in fields(record, start, end):
            if entry != 1:
                continue
            _expect(entry_kind, BYTES, "Features.feature")
            name, values = _map_entry(record, entry_start, entry_end)
            if name in result:
                raise DatasetError(f"feature '{name}' stands in the record twice")
            result[name] = values
    return result


def _map_entry(record: bytes, start: int, end: int) -> tuple[str, FeatureValues]:
    name, place = "", None
    for number, kind, first, last in fields(record, start, end):
        if number == 1:
            _expect(kind, BYTES, "the name of a feature")
            try:
                name = str(record[first:last], "utf-8")
            except UnicodeDecodeError as error:
                raise DatasetError(f"byte {first}: the name of a feature is no UTF-8") from error
        elif number == 2:
            _expect(kind, BYTES, f"feature '{name}'")
            place = (first, last)
    if place is None:
        return name, []
    try:
        return name, _feature(record, *place)
    except DatasetError as error:
        raise DatasetError(f"feature '{name}': {error}") from error


def _feature(record: bytes, start: int, end: int) -> FeatureValues:
    lists = [place for place in fields(record, start, end) if place[0] in (1, 2, 3)]
    if not lists:
        return []
    if len(lists) > 1:
        raise DatasetError(f"byte {start}: it holds {len(lists)} lists; expected one")
    number, kind, first, last = lists[0]
    _expect(kind, BYTES, "its list")
    if number == 1:
        return _bytes_list(record, first, last)
    return _float_list(record, first, last) if number == 2 else _integer_list(record, first, last)


def _bytes_list(record: bytes, start: int, end: int) -> list[bytes]:
    result = []
    for number, kind, first, last in fields(record, start, end):
        if number == 1:
            _expect(kind, BYTES, "an entry of a list of bytes")
            result.append(record[first:last])
    return result


def _float_list(record: bytes, start: int, end: int) -> np.ndarray:
    packed: list[np.ndarray] = []
    single = array("f")
    for number, kind, first, last in fields(record, start, end):
        if number != 1:
            continue
        if kind == FIXED32:
            single.frombytes(record[first:last])
        else:
            _expect(kind, BYTES, "an entry of a list of floats")
            packed.append(packed_floats(record, first, last))
    return _joined(packed, single, np.dtype("<f4")).astype(np.float32, copy=False)


def _integer_list(record: bytes, start: int, end: int) -> np.ndarray:
    packed: list[np.ndarray] = []
    single = array("Q")
    for number, kind, first, last in fields(record, start, end):
        if number != 1:
            continue
        if kind == VARINT:
            single.append(first)
        else:
            _expect(kind, BYTES, "an entry of a list of integers")
            packed.append(packed_varints(record, first, last))
    return _joined(packed, single, np.dtype(np.int64))


def _joined(packed: list[np.ndarray], single: array, dtype: np.dtype) -> np.ndarray:
    """Serialisers write a list either packed, as a rule in one piece, or value by value."""
    if single and packed:
        raise DatasetError("a list is packed and not packed")
    if single:
        return np.frombuffer(single, dtype)
    if len(packed) == 1:
        return packed[0]
    return np.concatenate(packed) if packed else np.zeros(0, dtype)


def _expect(kind: int, expected: int, what: str) -> None:
    if kind != expected:
        raise DatasetError(f"{what} has wire type {kind}; expected {expected}")
