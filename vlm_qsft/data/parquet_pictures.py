"""Encoded pictures out of parquet files: random access by frame, with a bounded memory of row groups."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlm_qsft.errors import DatasetError


class ParquetPictures:
    """The encoded pictures of one data set in image mode.

    A row group is read as a whole (parquet offers nothing smaller) and kept until `max_bytes` are in use, the least
    recently used one leaving first. With one row group per episode that is one episode of one camera.
    """

    def __init__(self, files: tuple[Path, ...], rows: tuple[int, ...], *, max_bytes: int) -> None:
        """Read the footers.

        Args:
            files: in the order of their frames.
            rows: frames per file as the episode table says.
            max_bytes: memory for row groups.
        Raises:
            DatasetError: a file is truncated, or has other rows than announced.
        """
        self._files = files
        self._open: dict[int, pq.ParquetFile] = {}
        self._max_bytes, self._used_bytes = max_bytes, 0
        self._kept: OrderedDict[tuple[int, str], pa.Array] = OrderedDict()
        self._groups: list[tuple[int, int]] = []
        starts = [0]
        for number, (file, expected) in enumerate(zip(files, rows, strict=True)):
            footer = read_footer(file)
            if footer.num_rows != expected:
                raise DatasetError(f"{file} has {footer.num_rows} rows; the episode table announces {expected}.")
            for group in range(footer.num_row_groups):
                self._groups.append((number, group))
                starts.append(starts[-1] + footer.row_group(group).num_rows)
        self._starts = np.array(starts)

    def encoded(self, row: int, key: str) -> bytes:
        """Return the bytes of the picture of feature `key` in frame `row` of the data set.

        Raises:
            DatasetError: the file is damaged, or the picture is not stored in it.
        """
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        scalar = self._row_group(group, key)[row - int(self._starts[group])]
        content = scalar.as_py()
        if content is None:
            raise DatasetError(f"{self._files[self._groups[group][0]]}: frame {row} has no picture for '{key}'.")
        return content

    def _row_group(self, group: int, key: str) -> pa.Array:
        place = (group, key)
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        number, inside = self._groups[group]
        file = self._files[number]
        try:
            if number not in self._open:
                self._open[number] = pq.ParquetFile(file)
            table = self._open[number].read_row_group(inside, columns=[key], use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"{file} is damaged at row group {inside} ({error}). Copy the data set again."
            ) from error
        if key not in table.column_names or not pa.types.is_struct(table.schema.field(key).type):
            raise DatasetError(f"{file} has no pictures in column '{key}'.")
        merged = table.column(key).combine_chunks()
        struct = pa.concat_arrays(merged.chunks) if isinstance(merged, pa.ChunkedArray) else merged
        pictures = struct.field("bytes")
        self._kept[place] = pictures
        self._used_bytes += pictures.nbytes
        while self._used_bytes > self._max_bytes and len(self._kept) > 1:
            _, left = self._kept.popitem(last=False)
            self._used_bytes -= left.nbytes
        return pictures


def read_footer(path: Path) -> pq.FileMetaData:
    """Return the footer of a parquet file.

    Raises:
        DatasetError: truncated or no parquet file.
    """
    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} is truncated or no parquet file ({error}). Copy the data set again.") from error
