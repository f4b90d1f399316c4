"""Columns of parquet files as what a source gives: numbers of their own type, texts, encoded pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from vlm_qsft.data.columns import is_list, is_number
from vlm_qsft.errors import DatasetError

ColumnKind = Literal["number", "text", "image", "bytes", "json", "empty"]


def kind_of(column: pa.DataType, *, is_camera: bool) -> ColumnKind:
    """Return what a column holds.

    Args:
        is_camera: the metadata declares it as an image.
    """
    storage = storage_of(column)
    inner = storage
    while is_list(inner):
        inner = storage_of(inner.value_type)
    if is_number(inner):
        return "number"
    if pa.types.is_null(storage):
        return "empty"
    if is_text(storage):
        return "image" if is_camera else "text"
    if is_binary(storage):
        return "image" if is_camera else "bytes"
    if pa.types.is_struct(storage) and storage.get_field_index("bytes") >= 0 and storage.get_field_index("path") >= 0:
        return "image"
    return "json"


def storage_of(kind: pa.DataType) -> pa.DataType:
    """Return what lies under extension types (the fixed-size arrays of Hugging Face's `datasets`) and dictionaries."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind):
            kind = kind.value_type
        else:
            return kind


def is_text(kind: pa.DataType) -> bool:
    """Tell whether an arrow type holds texts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_binary(kind: pa.DataType) -> bool:
    """Tell whether an arrow type holds bytes."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def numpy_name(column: pa.DataType) -> str:
    """Return NumPy's name of the numbers of a column."""
    inner = storage_of(column)
    while is_list(inner):
        inner = storage_of(inner.value_type)
    return np.dtype(inner.to_pandas_dtype()).name


def step_shape(column: pa.ChunkedArray) -> tuple[int, ...]:
    """Return the shape of the first step: () for plain numbers, the lengths of the nested lists otherwise."""
    shape: list[int] = []
    values = plain(column)[:1]
    while is_list(values.type):
        values = plain_array(values.flatten())
        shape.append(len(values) // max(int(np.prod(shape)), 1))
    return tuple(shape)


def numbers(column: pa.ChunkedArray, shape: tuple[int, ...], key: str) -> np.ndarray:
    """Return a column of numbers, or of lists of numbers, as (step, *shape) of the file's own type.

    A missing floating-point number becomes NaN (pandas writes NaN as missing); a missing whole number is refused.

    Raises:
        DatasetError: lists of other lengths, missing lists, missing whole numbers or flags; names feature and step.
    """
    values = plain(column)
    n_steps, width = len(values), int(np.prod(shape, dtype=np.int64))
    lengths = _numbers_per_step(values, key)
    other = np.flatnonzero(lengths != width)
    if len(other):
        raise DatasetError(
            f"'{key}' has {lengths[other[0]]} numbers in step {other[0]}; expected {width} in every step."
        )
    while is_list(values.type):
        values = plain_array(values.flatten())
    if values.null_count:
        if not pa.types.is_floating(values.type):
            raise DatasetError(f"'{key}' lacks {values.null_count} numbers; whole numbers cannot be missing.")
        values = values.fill_null(np.nan)
    return values.to_numpy(zero_copy_only=False).reshape(n_steps, *shape)


def texts(column: pa.ChunkedArray, kind: ColumnKind) -> list[str]:
    """Return a column as texts: structures as JSON, a missing text as an empty one."""
    values = column.to_pylist()
    if kind == "json":
        return [json.dumps(value, default=_plain_value) for value in values]
    return [value or "" for value in values]


def pictures(column: pa.ChunkedArray, key: str, *, root: Path, data_file: Path) -> list[bytes]:
    """Return the encoded picture of every step: from the column itself, or from the file that it names.

    Raises:
        DatasetError: a step without a picture, or whose file is missing or outside of the data set; names both.
    """
    encoded: list[bytes] = []
    for step, value in enumerate(column.to_pylist()):
        content = value.get("bytes") if isinstance(value, dict) else value
        path = value.get("path") if isinstance(value, dict) else None
        if isinstance(content, str):
            content, path = None, content
        if content:
            encoded.append(content)
        elif isinstance(path, str) and path:
            encoded.append(_read_picture(path, key, step, root=root, data_file=data_file))
        else:
            raise DatasetError(f"{data_file}: '{key}' has no picture in step {step} of the episode.")
    return encoded


def byte_strings(column: pa.ChunkedArray) -> list[bytes]:
    """Return a column of bytes; missing ones are empty."""
    return [value or b"" for value in column.to_pylist()]


def plain(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array without extension types and dictionaries."""
    chunks = [plain_array(chunk) for chunk in column.chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], storage_of(column.type))


def plain_array(array: pa.Array) -> pa.Array:
    """Return an array without extension type and dictionary."""
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif isinstance(array, pa.DictionaryArray):
            array = array.dictionary_decode()
        else:
            return array


def _read_picture(written: str, key: str, step: int, *, root: Path, data_file: Path) -> bytes:
    """Read "images/<camera>/episode_000000/frame_000000.png", given from the data set or from the data file."""
    for base in (root, data_file.parent):
        # By its letters and not resolved: downloads are often links out of the folder.
        path = Path(os.path.normpath(base / written))
        try:
            if path.is_relative_to(os.path.normpath(root)) and path.is_file():
                return path.read_bytes()
        except (OSError, ValueError):  # no name of a file
            continue
    raise DatasetError(
        f"{root}/{written:.200} is missing: '{key}' names it in step {step} of {data_file.name}. "
        "Pictures must lie inside of the data set."
    )


def _numbers_per_step(values: pa.Array, key: str) -> np.ndarray:
    ends = np.arange(len(values) + 1)
    while is_list(values.type):
        if values.null_count:
            raise DatasetError(f"'{key}' has {values.null_count} empty lists; every step needs numbers.")
        if pa.types.is_fixed_size_list(values.type):
            ends = ends * values.type.list_size
        else:
            offsets = np.asarray(values.offsets.to_numpy(), dtype=np.int64)
            ends = (offsets - offsets[0])[ends]
        values = plain_array(values.flatten())
    return np.diff(ends)


def _plain_value(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
