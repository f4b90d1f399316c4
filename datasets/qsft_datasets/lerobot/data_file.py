"""One open data file: the rows of an episode, with bounded memory, and no row decoded twice on the way through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qsft_datasets.lerobot.parquet_table import ROWS_AT_ONCE, open_parquet, parquet_errors
from vlm_qsft.errors import DatasetError

BATCH_ROWS = 64
"""Rows decoded at a time: with two cameras of 100 kB pictures about 13 MB."""
BUFFER_BYTES = 1 << 20
"""Data files of converted sets are one row group of 100 MB: they are read in pieces of this size."""
EPISODE_COLUMN = "episode_index"


class DataFile:
    """An open parquet file of rows, of one episode (v2) or of several (v3)."""

    def __init__(self, path: Path) -> None:
        """Read the footer.

        Raises:
            DatasetError: missing, truncated or damaged.
        """
        self.path = path
        self._file = open_parquet(path, buffer_bytes=BUFFER_BYTES)
        with parquet_errors(path):
            self.schema: pa.Schema = self._file.schema_arrow
        self.n_rows: int = self._file.metadata.num_rows
        self._places: Mapping[int, tuple[int, int]] | None = None
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._rest: pa.RecordBatch | None = None
        self._next_row = 0

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def __enter__(self) -> DataFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def place_of(self, episode: int) -> tuple[int, int] | None:
        """Return (first row, number of rows) of an episode; None in a file without a column of episodes.

        Raises:
            DatasetError: damaged, the episode is not there, or its rows do not follow each other.
        """
        if EPISODE_COLUMN not in self.schema.names:
            return None
        if self._places is None:
            self._places = _places(self.path, self._file)
        if episode not in self._places:
            raise DatasetError(f"{self.path} holds no rows of episode {episode}; the metadata places it there.")
        return self._places[episode]

    def rows(self, first_row: int, n_rows: int) -> pa.Table:
        """Return rows with all columns.

        Raises:
            DatasetError: fewer rows, or damaged; names the file and the first row that cannot be read.
        """
        if first_row < 0 or n_rows < 1 or first_row + n_rows > self.n_rows:
            raise DatasetError(
                f"{self.path} has {self.n_rows} rows; rows {first_row} to {first_row + n_rows - 1} were announced."
            )
        self._go_to(first_row)
        parts: list[pa.RecordBatch] = []
        while self._next_row < first_row + n_rows:
            parts.append(self._take(first_row + n_rows - self._next_row))
        return pa.Table.from_batches(parts)

    def _go_to(self, row: int) -> None:
        """Skip to a row: forward inside of the row group that holds it, else from the beginning of that group."""
        footer = self._file.metadata
        group = first = 0
        while first + footer.row_group(group).num_rows <= row:
            first += footer.row_group(group).num_rows
            group += 1
        if self._batches is None or not first <= self._next_row <= row:
            groups = list(range(group, footer.num_row_groups))
            with parquet_errors(self.path):
                self._batches = self._file.iter_batches(batch_size=BATCH_ROWS, row_groups=groups, use_threads=False)
            self._rest, self._next_row = None, first
        while self._next_row < row:
            self._take(row - self._next_row)

    def _take(self, at_most: int) -> pa.RecordBatch:
        """Return the next rows, as many as lie in one batch."""
        batch = self._rest if self._rest is not None else self._decode()
        taken = min(at_most, batch.num_rows)
        self._rest = batch.slice(taken) if taken < batch.num_rows else None
        self._next_row += taken
        return batch.slice(0, taken)

    def _decode(self) -> pa.RecordBatch:
        row, batches = self._next_row, self._batches
        self._batches = None  # After an error nothing is known of the position.
        try:
            with parquet_errors(self.path):
                batch = next(batches or iter(()), None)
                if batch is not None:
                    batch.validate(full=True)
        except DatasetError as error:
            raise DatasetError(f"{error} Rows from {row} on cannot be read.") from error
        if batch is None or batch.num_rows == 0:
            raise DatasetError(f"{self.path} is damaged: it ends before row {row}.")
        self._batches = batches
        return batch


def _places(path: Path, file: pq.ParquetFile) -> Mapping[int, tuple[int, int]]:
    """Return (first row, number of rows) of every episode of a file."""
    places: dict[int, tuple[int, int]] = {}
    last: int | None = None
    row = 0
    with parquet_errors(path):
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=[EPISODE_COLUMN], use_threads=False):
            values = np.asarray(batch.column(EPISODE_COLUMN).to_numpy(zero_copy_only=False))
            if values.dtype.kind not in "iu" or values.ndim != 1:
                raise DatasetError(f"{path} has no whole numbers in column {EPISODE_COLUMN}.")
            starts = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist()] if len(values) else []
            for start, end in zip(starts, [*starts[1:], len(values)], strict=False):
                episode = int(values[start])
                if episode == last:
                    places[episode] = (places[episode][0], places[episode][1] + end - start)
                elif episode in places:
                    raise DatasetError(
                        f"{path} holds episode {episode} in two places; its rows must follow each other."
                    )
                else:
                    places[episode] = (row + start, end - start)
                last = episode
            row += len(values)
    return places
