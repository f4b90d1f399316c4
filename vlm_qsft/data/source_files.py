"""Reading JSON and parquet files that may be missing, truncated or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vlm_qsft.errors import DatasetError

MAX_JSON_BYTES = 64 * 1024**2
"""No description of a data set or a run is larger; a video that was given this name is."""


def read_json(path: Path) -> dict:
    """Read a JSON object.

    Raises:
        DatasetError: missing, not readable, too large for a description, or no JSON object.
    """
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MAX_JSON_BYTES:
            raise DatasetError(f"{path} has {n_bytes} bytes: a description has at most {MAX_JSON_BYTES}.")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing.") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is no valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no JSON object.")
    return content


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file.

    Raises:
        DatasetError: missing, truncated or damaged.
    """
    if not path.exists():
        raise DatasetError(f"{path} is missing: the metadata names it. Copy the data set again.")
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} is truncated or damaged ({error}). Copy the data set again.") from error
