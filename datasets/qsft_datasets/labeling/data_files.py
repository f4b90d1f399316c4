"""The parquet files of data/: read row group by row group and written again with other label columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qsft_datasets.labeling.label_frames import Frames
from qsft_datasets.labeling.parquet_layout import labelled_schema, layout_of
from vlm_qsft.data.columns import column_values
from vlm_qsft.data.schema import LABEL_DTYPES
from vlm_qsft.data.storage import copy_durably, partial_path, storage_errors, sync_path
from vlm_qsft.errors import DatasetError

Note = Callable[[int], None]
"""Called with the number of rows that have just been written."""


def write_labelled(
    source: Path, target: Path, *, frames: Frames, preserved: Mapping[str, str], n_rows: int, note: Note
) -> None:
    """Write a data file again with these labels; it appears whole or not at all.

    Every other column is copied as it is, pictures with their bytes. Memory holds one row group.

    Args:
        frames: labels of the file's rows.
        preserved: old column -> name under which it is kept.
        n_rows: the rows that are kept, from the first on.
    Raises:
        DatasetError: the source is damaged.
        StorageError: disk full; nothing is left of the target.
    """
    with opened(source) as file:
        schema = labelled_schema(file.schema_arrow, preserved)
        replaced = (*LABEL_DTYPES, *preserved.values())
        layout = layout_of(file.metadata, tuple(key for key in replaced if not is_list(schema, key)))
        with ParquetTarget(target, schema, layout) as writer:
            first = 0
            for group in range(file.num_row_groups):
                table = read_group(file, source, group)
                table = table.slice(0, min(table.num_rows, n_rows - first))
                if table.num_rows == 0:
                    break
                writer.write(labelled(table, schema, frames, preserved, first=first))
                first += table.num_rows
                note(table.num_rows)


def labelled(
    table: pa.Table, schema: pa.Schema, frames: Frames, preserved: Mapping[str, str], *, first: int
) -> pa.Table:
    """Return the columns of some rows with their labels, in the order of the schema."""
    arrays: list[pa.ChunkedArray | pa.Array] = []
    old_names = {kept: old for old, kept in preserved.items()}
    for field in schema:
        if field.name in LABEL_DTYPES:
            arrays.append(pa.array(frames[field.name][first : first + table.num_rows], field.type))
        else:
            arrays.append(table.column(old_names.get(field.name, field.name)))
    return pa.table(arrays, schema=schema)


def has_labels(path: Path, frames: Frames, *, preserved: Mapping[str, str], n_rows: int) -> bool:
    """Tell whether a data file has these rows and these labels already."""
    with opened(path) as file:
        names = file.schema_arrow.names
        if preserved or file.metadata.num_rows != n_rows or not set(LABEL_DTYPES) <= set(names):
            return False
        if any(str(file.schema_arrow.field(key).type) != arrow_name(dtype) for key, dtype in LABEL_DTYPES.items()):
            return False
        for key in LABEL_DTYPES:
            stored = column_values(file.read(columns=[key], use_threads=False).column(key), key, 1)[:, 0]
            if not np.array_equal(stored, frames[key]):
                return False
    return True


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file that does not change into the new folder: as a link where the file system has them.

    Raises:
        StorageError: disk full.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            return
        try:
            os.link(source, target)
        except OSError:
            copy_durably(source, target)


def read_rows(path: Path, first: int, n_rows: int) -> pa.Table:
    """Return rows of a data file, reading the row groups that hold them and no other.

    Raises:
        DatasetError: the file is damaged.
    """
    parts, start = [], 0
    with opened(path) as file:
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if start < first + n_rows and start + count > first:
                table = read_group(file, path, group)
                begin = max(0, first - start)
                parts.append(table.slice(begin, min(count, first + n_rows - start) - begin))
            start += count
    return pa.concat_tables(parts)


class ParquetTarget:
    """A parquet file in the making; it gets its name when it is complete and on the disk."""

    def __init__(self, path: Path, schema: pa.Schema, layout: Mapping[str, Any]) -> None:
        self._path = path
        self._partial = partial_path(path)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._partial, schema, **layout)

    def __enter__(self) -> ParquetTarget:
        return self

    def write(self, table: pa.Table) -> None:
        """Write one row group.

        Raises:
            StorageError: disk full.
        """
        with storage_errors(self._path):
            self._writer.write_table(table, row_group_size=table.num_rows)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with storage_errors(self._path):
                self._writer.close()
                if kind is None:
                    sync_path(self._partial)
                    os.replace(self._partial, self._path)
        finally:
            self._partial.unlink(missing_ok=True)


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a parquet file to read.

    Raises:
        DatasetError: truncated or no parquet file; names it.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} is truncated or no parquet file ({error}). Copy the data set again.") from error
    with file:
        yield file


def read_group(file: pq.ParquetFile, path: Path, group: int) -> pa.Table:
    """Read one row group.

    Raises:
        DatasetError: it is damaged.
    """
    try:
        return file.read_row_group(group, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} is damaged at row group {group} ({error}). Copy the data set again.") from error


def is_list(schema: pa.Schema, key: str) -> bool:
    """Tell whether a column holds lists."""
    return pa.types.is_nested(schema.field(key).type)


def arrow_name(dtype: str) -> str:
    """Return arrow's name of a type."""
    return {"float32": "float"}.get(dtype, dtype)
