"""Columns of parquet files as NumPy arrays, checked against the shape that the metadata declares."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped

from vlm_qsft.errors import DatasetError, ShapeMismatch


def column_values(column: pa.ChunkedArray, key: str, width: int) -> Shaped[np.ndarray, "frame dim"]:
    """Return a column of numbers or of lists of numbers as (frame, width).

    Raises:
        ShapeMismatch: lists of another length than declared; names the first frame.
        DatasetError: empty entries, or no numbers.
    """
    if column.null_count:
        raise DatasetError(f"Feature '{key}' has {column.null_count} empty entries; every frame needs a value.")
    merged = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(merged, pa.ChunkedArray):
        merged = pa.concat_arrays(merged.chunks) if merged.num_chunks else pa.array([], column.type)
    rows = len(merged)
    while is_list(merged.type):
        merged = merged.flatten()
    if not is_number(merged.type):
        raise DatasetError(f"Feature '{key}' holds {column.type}; expected numbers.")
    if len(merged) != rows * width:
        raise ShapeMismatch(
            f"Feature '{key}' has {len(merged)} numbers in {rows} frames; meta/info.json declares {width} per frame. "
            "Correct the metadata or the data."
        )
    if merged.null_count:
        raise DatasetError(f"Feature '{key}' has {merged.null_count} empty numbers; every frame needs all values.")
    return merged.to_numpy(zero_copy_only=False).reshape(rows, width)


def is_list(kind: pa.DataType) -> bool:
    """Tell whether an arrow type holds lists of any kind."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def is_number(kind: pa.DataType) -> bool:
    """Tell whether an arrow type holds numbers or flags."""
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
