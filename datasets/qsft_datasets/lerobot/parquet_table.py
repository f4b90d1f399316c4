"""Small parquet tables of meta/, read whole, and the errors that a damaged parquet file can cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vlm_qsft.errors import DatasetError

MAX_STRING_BYTES = 64 << 20
MAX_CONTAINER_ITEMS = 1 << 20
"""Bounds of the footer's own parts: a damaged length is refused instead of allocated."""
GIT_LFS = b"version https://git-lfs"
ROWS_AT_ONCE = 4096
"""Readers reserve memory for the rows they are asked for, also where a damaged footer promises billions."""


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn everything that pyarrow raises on a damaged file into one error.

    Raises:
        DatasetError: names the file.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing: the metadata names it. Copy the data set again.") from error
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        if _is_git_lfs_pointer(path):
            raise DatasetError(f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull`.") from error
        text = " ".join(str(error).split())
        raise DatasetError(f"{path} is truncated or damaged ({text:.300}). Copy the data set again.") from error


def open_parquet(path: Path, *, buffer_bytes: int = 0) -> pq.ParquetFile:
    """Open a parquet file whose footer fits to the file's size.

    Args:
        buffer_bytes: read columns in pieces of this size; 0 reads a column of a row group at once.
    Raises:
        DatasetError: missing, truncated or damaged.
    """
    with parquet_errors(path):
        file = pq.ParquetFile(
            path,
            buffer_size=buffer_bytes,
            pre_buffer=False,
            page_checksum_verification=True,
            thrift_string_size_limit=MAX_STRING_BYTES,
            thrift_container_size_limit=MAX_CONTAINER_ITEMS,
        )
    try:
        _check_footer(path, file.metadata)
        with parquet_errors(path):
            names = file.schema_arrow.names
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) != len(names) else []
        if twice:
            raise DatasetError(f"{path} has the column {', '.join(twice)} more than once; which one holds is unknown.")
    except DatasetError:
        file.close()
        raise
    return file


def read_columns(path: Path, wanted: Callable[[str], bool]) -> dict[str, list[object]]:
    """Return some columns of a small table as Python values; columns that are not there are left out.

    Raises:
        DatasetError: missing, truncated or damaged.
    """
    with open_parquet(path) as file, parquet_errors(path):
        names = [name for name in file.schema_arrow.names if wanted(name)]
        columns: dict[str, list[object]] = {name: [] for name in names}
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=names, use_threads=False):
            batch.validate(full=True)
            for name in names:
                columns[name] += batch.column(name).to_pylist()
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise DatasetError(f"{path} is damaged: its columns have {sorted(lengths)} rows.")
    return columns


def _is_git_lfs_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(GIT_LFS)) == GIT_LFS
    except OSError:
        return False


def _check_footer(path: Path, footer: pq.FileMetaData) -> None:
    # Only the rows: pyarrow ends the process where it is asked for a column chunk with damaged statistics.
    with parquet_errors(path):
        rows = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    if sum(rows) != footer.num_rows or min(rows, default=0) < 0:
        raise DatasetError(f"{path} is damaged: {footer.num_rows} rows, but {sum(rows)} in its row groups.")
