"""The rows of meta/episodes, written file by file: memory holds those of one file."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlm_qsft.data.episode import Attribute
from vlm_qsft.data.file_numbers import EPISODES_PATH, FILES_PER_CHUNK, numbered
from vlm_qsft.data.schema import image_key
from vlm_qsft.data.staging import EpisodeNote, read_note
from vlm_qsft.data.statistics import FeatureStatistics
from vlm_qsft.data.storage import storage_errors
from vlm_qsft.data.video_files import VideoRow
from vlm_qsft.errors import DatasetError

EPISODES_PER_FILE = 5000
ATTRIBUTE_PREFIX = "attributes/"
ARROW_TYPES: dict[type[Attribute], pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
}


@dataclass(frozen=True)
class EpisodeRow:
    """One row of the episode table.

    Attributes:
        data_file: (chunk, file) of its frames.
        videos: camera -> where its clip lies.
    """

    length: int
    first_frame: int
    data_file: tuple[int, int]
    note: EpisodeNote
    statistics: dict[str, FeatureStatistics]
    videos: dict[str, VideoRow]


class EpisodeTableWriter:
    """Writes meta/episodes: where every episode lies, its instructions, outcome, attributes and statistics."""

    def __init__(self, target: Path, root: Path, indices: Sequence[int]) -> None:
        """Find the types of the attributes over all episodes.

        Raises:
            DatasetError: an attribute has several types, or a staged episode cannot be read.
        """
        self._target = target
        self._types = attribute_types(root, indices)
        self._rows: list[EpisodeRow] = []
        self._statistics: dict[str, StatisticColumn] = {}
        self._n_written = 0

    def add(self, row: EpisodeRow) -> None:
        """Take the row of the next episode.

        Raises:
            StorageError: disk full.
        """
        for key, statistics in row.statistics.items():
            for name, numbers in statistics.items():
                self._statistics.setdefault(f"stats/{key}/{name}", StatisticColumn(np.shape(numbers))).add(numbers)
        # Histograms and statistics as Python's numbers would be most of the memory of a long conversion.
        self._rows.append(replace(row, note=replace(row.note, histograms={}), statistics={}))
        if len(self._rows) == EPISODES_PER_FILE:
            self.close()

    def close(self) -> None:
        """Write the rows that are waiting.

        Raises:
            StorageError: disk full.
        """
        if not self._rows:
            return
        number = self._n_written // EPISODES_PER_FILE
        path = self._target / numbered(EPISODES_PATH, number)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(self._table(*divmod(number, FILES_PER_CHUNK)), path)
        self._n_written += len(self._rows)
        self._rows, self._statistics = [], {}

    def _table(self, chunk: int, file: int) -> pa.Table:
        part, start = self._rows, self._n_written
        columns: dict[str, pa.Array] = {
            "episode_index": pa.array(range(start, start + len(part)), pa.int64()),
            "tasks": pa.array([row.note.instructions for row in part], pa.list_(pa.string())),
            "length": pa.array([row.length for row in part], pa.int64()),
            "data/chunk_index": pa.array([row.data_file[0] for row in part], pa.int64()),
            "data/file_index": pa.array([row.data_file[1] for row in part], pa.int64()),
            "dataset_from_index": pa.array([row.first_frame for row in part], pa.int64()),
            "dataset_to_index": pa.array([row.first_frame + row.length for row in part], pa.int64()),
            "meta/episodes/chunk_index": pa.array([chunk] * len(part), pa.int64()),
            "meta/episodes/file_index": pa.array([file] * len(part), pa.int64()),
        }
        for camera in part[0].videos:
            places, prefix = [row.videos[camera] for row in part], f"videos/{image_key(camera)}"
            columns[f"{prefix}/chunk_index"] = pa.array([place.file[0] for place in places], pa.int64())
            columns[f"{prefix}/file_index"] = pa.array([place.file[1] for place in places], pa.int64())
            columns[f"{prefix}/from_timestamp"] = pa.array([place.from_s for place in places], pa.float64())
            columns[f"{prefix}/to_timestamp"] = pa.array([place.to_s for place in places], pa.float64())
        columns["success"] = pa.array([row.note.success for row in part])
        columns["terminated"] = pa.array([row.note.terminated for row in part])
        columns["truncated"] = pa.array([row.note.truncated for row in part])
        for name, kind in self._types.items():
            columns[ATTRIBUTE_PREFIX + name] = pa.array([row.note.attributes.get(name) for row in part], kind)
        columns |= {name: column.to_arrow() for name, column in self._statistics.items()}
        return pa.table(columns)


class StatisticColumn:
    """One statistic of every waiting episode, as flat numbers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._numbers: array | None = None

    def add(self, numbers: list) -> None:
        """Take the numbers of the next episode."""
        flat = np.ravel(numbers)
        if self._numbers is None:
            self._numbers = array("q" if np.issubdtype(flat.dtype, np.integer) else "d")
        self._numbers.extend(flat.tolist())

    def to_arrow(self) -> pa.Array:
        """Return nested lists, one per episode."""
        return pa.array(np.array(self._numbers).reshape(-1, *self._shape).tolist())


def attribute_types(root: Path, indices: Sequence[int]) -> dict[str, pa.DataType]:
    """Return name -> the one type that an attribute has in all episodes, by name.

    Raises:
        DatasetError: it has several.
    """
    seen: dict[str, dict[type[Attribute], int]] = {}
    for index, staged_index in enumerate(indices):
        for name, value in read_note(root, staged_index).attributes.items():
            seen.setdefault(name, {}).setdefault(type(value), index)
    for name, kinds in seen.items():
        if len(kinds) > 1:
            places = ", ".join(f"{kind.__name__} in episode {index}" for kind, index in kinds.items())
            raise DatasetError(f"Attribute '{name}' has several types: {places}. Give it one type everywhere.")
    return {name: ARROW_TYPES[next(iter(seen[name]))] for name in sorted(seen)}
