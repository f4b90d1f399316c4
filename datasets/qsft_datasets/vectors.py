"""Numbers of a source as columns of the canonical data set, equal bit for bit where nothing is scaled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsft_datasets.mapping import VectorPart
from qsft_datasets.source import SourceDescription, SourceEpisode
from vlm_qsft.data.schema import NumberType
from vlm_qsft.errors import DatasetError

HELD_BY_FLOAT32 = frozenset({"float16", "bfloat16", "float32", "bool", "int8", "uint8", "int16", "uint16"})
KEPT_AS = {"float16": "float32", "bfloat16": "float32", "uint16": "int32", "uint32": "int64", "uint64": "int64"}
"""Types that parquet, torch and LeRobot do not have in common -> one that holds their numbers."""
EXACT_INTEGERS = 2**53
"""Integers up to here are exact in float64."""


def column_type(parts: Sequence[VectorPart], description: SourceDescription) -> NumberType:
    """Return float32, or float64 where float32 cannot hold every number of a source."""
    dtypes = {description.feature(part.path).dtype for part in parts}
    return "float32" if dtypes <= HELD_BY_FLOAT32 else "float64"


def kept_type(dtype: str) -> str:
    """Return the type in which a kept column is stored."""
    return KEPT_AS.get(dtype, dtype)


def step_numbers(episode: SourceEpisode, path: str, width: int) -> np.ndarray:
    """Return a feature over the episode as (step, width) numbers of the source's own type.

    Raises:
        DatasetError: absent from this episode, no numbers, or of another size.
    """
    values = episode.steps.get(path)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biufV":
        what = "is not in this episode" if values is None else f"holds {type(values).__name__}, no numbers"
        raise DatasetError(f"Feature '{path}' {what}.")
    if len(values) != episode.length or values.size != episode.length * width:
        raise DatasetError(f"Feature '{path}' has {values.shape}; expected {episode.length} steps of {width} numbers.")
    return values.reshape(episode.length, width)


def joined_parts(
    episode: SourceEpisode, parts: Sequence[VectorPart], widths: dict[str, int], dtype: NumberType
) -> np.ndarray:
    """Return state or action as (step, number).

    Args:
        widths: feature -> numbers per step.
    Raises:
        DatasetError: a feature is absent or of another size, or a number has no exact place in the column.
    """
    columns = []
    for part in parts:
        values = step_numbers(episode, part.path, widths[part.path])
        if part.columns is not None:
            values = values[:, list(part.columns)]
        if part.scale == 1.0 and part.offset == 0.0:
            columns.append(exact(values, dtype, part.path))
        else:
            scaled = exact(values, "float64", part.path) * part.scale + part.offset
            columns.append(scaled.astype(dtype))
    return np.concatenate(columns, axis=1) if columns else np.zeros((episode.length, 0), dtype)


def exact(values: np.ndarray, dtype: str, path: str) -> np.ndarray:
    """Return the same numbers in another type.

    Raises:
        DatasetError: a number that the type cannot hold exactly.
    """
    kind = np.dtype(dtype).kind
    if values.dtype.kind in "iu" and values.size:
        largest = max(abs(int(values.max())), abs(int(values.min())))
        limit = EXACT_INTEGERS if kind == "f" else int(np.iinfo(dtype).max) if kind in "iu" else 1
        if largest > limit:
            raise DatasetError(f"Feature '{path}' holds {largest}, which {dtype} cannot hold exactly.")
    return np.ascontiguousarray(values.astype(dtype))
