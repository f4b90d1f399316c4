"""Assembly: staged episodes, in their order, become the files of a LeRobotDataset v3.0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from vlm_qsft.data.columns import column_values
from vlm_qsft.data.data_files import DataFiles
from vlm_qsft.data.episode_rows import EpisodeRow, EpisodeTableWriter
from vlm_qsft.data.file_numbers import FILES_PER_CHUNK
from vlm_qsft.data.schema import DatasetSchema, arrow_schema, image_key, numeric_shapes
from vlm_qsft.data.staging import LOCAL_TASK, EpisodeNote, read_staged
from vlm_qsft.data.statistics import FeatureStatistics, numeric_statistics, picture_statistics
from vlm_qsft.data.video_files import VideoFiles
from vlm_qsft.errors import DatasetError


@dataclass(frozen=True)
class Assembled:
    """What was assembled, for the rest of meta/.

    Attributes:
        tasks: the instructions, in the order of their first appearance.
        picture_statistics: feature key -> statistics over all episodes.
        videos: camera -> its first video file; empty where pictures are stored.
    """

    n_episodes: int
    n_frames: int
    tasks: tuple[str, ...]
    picture_statistics: dict[str, FeatureStatistics]
    videos: dict[str, Path]


def assemble(target: Path, root: Path, indices: Sequence[int], *, schema: DatasetSchema) -> Assembled:
    """Write data/, videos/ and meta/episodes/ below `target` from the staged episodes of `root`.

    They are numbered in the order of `indices`, without gaps. One row group per episode; memory holds one episode at a
    time and the rows of one file of the episode table.

    Raises:
        DatasetError: a staged episode cannot be read, or an attribute has several types.
        StorageError: disk full.
    """
    task_indices: dict[str, int] = {}
    pictures = PictureTotals(schema)
    videos = VideoFiles(root, target)
    episode_rows = EpisodeTableWriter(target, root, indices)
    data = DataFiles(target, schema)
    first_frame = 0
    try:
        for index, staged_index in enumerate(indices):
            staged = read_staged(root, staged_index)
            tasks = [task_indices.setdefault(text, len(task_indices)) for text in staged.note.instructions]
            table = with_indices(staged.table, schema, index=index, first_frame=first_frame, tasks=tasks)
            data_file = data.add(table)
            pictures.add(staged.note)
            episode_rows.add(
                EpisodeRow(
                    length=table.num_rows,
                    first_frame=first_frame,
                    data_file=divmod(data_file, FILES_PER_CHUNK),
                    note=staged.note,
                    statistics=episode_statistics(table, staged.note, schema),
                    videos=videos.add(staged.note.clips, table.num_rows, schema.fps),
                )
            )
            first_frame += table.num_rows
    finally:
        data.close()
    episode_rows.close()
    return Assembled(len(indices), first_frame, tuple(task_indices), pictures.statistics(), videos.first_files())


class PictureTotals:
    """The histograms of all episodes added up: what the statistics of the cameras come from."""

    def __init__(self, schema: DatasetSchema) -> None:
        self._counts: dict[str, Int64[np.ndarray, "3 256"]] = {
            camera: np.zeros((3, 256), np.int64) for camera in schema.cameras
        }
        self._n_sampled = 0

    def add(self, note: EpisodeNote) -> None:
        """Count the pictures of one episode."""
        self._n_sampled += note.n_sampled
        for camera, counts in note.histograms.items():
            self._counts[camera] += counts

    def statistics(self) -> dict[str, FeatureStatistics]:
        """Return the statistics of every camera."""
        return {
            image_key(camera): picture_statistics(counts, self._n_sampled) for camera, counts in self._counts.items()
        }


def with_indices(
    table: pa.Table, schema: DatasetSchema, *, index: int, first_frame: int, tasks: Sequence[int]
) -> pa.Table:
    """Return the staged columns with LeRobot's index columns, in the order of the schema.

    Args:
        tasks: index in the data set of every instruction of the episode.
    """
    frames = np.arange(table.num_rows, dtype=np.int64)
    task_of_frame = np.full_like(frames, tasks[0])
    if LOCAL_TASK in table.column_names:
        task_of_frame = np.array(tasks, np.int64)[table.column(LOCAL_TASK).to_numpy()]
    numbers = {
        "timestamp": (frames * float(1 / schema.fps)).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full_like(frames, index),
        "index": frames + first_frame,
        "task_index": task_of_frame,
    }
    for name, values in numbers.items():
        table = table.append_column(name, pa.array(values))
    columns = arrow_schema(schema)
    missing = [name for name in columns.names if name not in table.column_names]
    if missing:
        raise DatasetError(f"Staged episode {index} lacks {', '.join(missing)}. Delete it and run the command again.")
    return table.select(columns.names).replace_schema_metadata(None).cast(columns)


def episode_statistics(table: pa.Table, note: EpisodeNote, schema: DatasetSchema) -> dict[str, FeatureStatistics]:
    """Return the statistics of one episode."""
    statistics = {
        image_key(camera): picture_statistics(counts, note.n_sampled) for camera, counts in note.histograms.items()
    }
    columns = {key: column_values(table.column(key), key, width) for key, (_, width) in numeric_shapes(schema).items()}
    return statistics | numeric_statistics(columns)
