"""The frames of counterfactual copies: data files of their own, after those of the recorded episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from qsft_datasets.labeling.data_files import Note, ParquetTarget, opened, read_rows
from qsft_datasets.labeling.label_frames import Frames
from qsft_datasets.labeling.parquet_layout import layout_of
from vlm_qsft.data.schema import LABEL_DTYPES
from vlm_qsft.errors import DatasetError

FILE_BYTES = 100 * 1024**2
"""Pictures and numbers of one file, as the writer of recorded episodes has it."""


@dataclass(frozen=True)
class Original:
    """Where a recorded episode lies.

    Attributes:
        path: data file with labels already.
        first_row: in that file.
    """

    path: Path
    first_row: int


@dataclass(frozen=True)
class CopiedEpisode:
    """One copy to write.

    Attributes:
        original: where its frames are.
        episode, first_frame, length, task: its own numbers.
    """

    original: Original
    episode: int
    first_frame: int
    length: int
    task: int


def write_copies(
    target: Path, template: str, copies: Sequence[CopiedEpisode], *, numbers: FileNumbers, frames: Frames, note: Note
) -> list[tuple[int, int]]:
    """Write the frames of the copies and return (chunk, file) of each.

    Every column but labels and indices is that of the original, pictures with their bytes; the time stamps too, by
    which a video is found.

    Args:
        target: folder of the new data set.
        template: path of a data file in it.
        numbers: which files are free.
        frames: labels of all frames of the data set.
    Raises:
        DatasetError: a data file has another kind of columns.
        StorageError: disk full.
    """
    places: list[tuple[int, int]] = []
    for part in files_of(copies):
        chunk, file = numbers.next()
        path = target / template.format(chunk_index=chunk, file_index=file)
        places += [(chunk, file)] * len(part)
        if path.exists():  # complete before a kill
            note(sum(copy.length for copy in part))
            continue
        with opened(part[0].original.path) as first:
            schema, layout = first.schema_arrow, layout_of(first.metadata, ())
        with ParquetTarget(path, schema, layout) as writer:
            for copy in part:
                table = read_rows(copy.original.path, copy.original.first_row, copy.length)
                writer.write(copied(table, schema, copy, frames))
                note(copy.length)
    return places


@dataclass
class FileNumbers:
    """The numbers of data files that no recorded episode has.

    Attributes:
        after: number of the last used file, counted through all chunks.
        files_per_chunk: as meta/info.json says.
    """

    after: int
    files_per_chunk: int

    def next(self) -> tuple[int, int]:
        """Return (chunk, file) of the next free one."""
        self.after += 1
        return divmod(self.after, self.files_per_chunk)


def files_of(copies: Sequence[CopiedEpisode]) -> list[list[CopiedEpisode]]:
    """Return the copies file by file: as many as fit, at least one."""
    files: list[list[CopiedEpisode]] = []
    room = 0.0
    for copy in copies:
        size = copy.length * bytes_per_row(copy.original.path)
        if not files or size > room:
            files.append([])
            room = float(FILE_BYTES)
        files[-1].append(copy)
        room -= size
    return files


def bytes_per_row(path: Path) -> float:
    """Return the mean size of a row of a data file on the disk. Raises as `opened`."""
    with opened(path) as file:
        footer = file.metadata
        total = sum(footer.row_group(n).total_byte_size for n in range(footer.num_row_groups))
        return total / max(1, footer.num_rows)


def copied(table: pa.Table, schema: pa.Schema, copy: CopiedEpisode, frames: Frames) -> pa.Table:
    """Return the rows of a copy.

    Raises:
        DatasetError: the original's file has other columns than the first one.
    """
    if table.schema.names != schema.names:
        raise DatasetError(
            f"{copy.original.path} has other columns than the file before it. Convert the data set again."
        )
    rows = np.arange(copy.length, dtype=np.int64)
    own: Mapping[str, np.ndarray] = {
        "episode_index": np.full(copy.length, copy.episode),
        "index": rows + copy.first_frame,
        "task_index": np.full(copy.length, copy.task),
        **{key: frames[key][copy.first_frame : copy.first_frame + copy.length] for key in LABEL_DTYPES},
    }
    arrays = [
        pa.array(own[field.name]).cast(field.type) if field.name in own else table.column(field.name).cast(field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)
