"""Assembly: staged episodes, in their order, become the files of a LeRobotDataset v3.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlm_qsft.data.columns import column_values
from vlm_qsft.data.episode import Attribute
from vlm_qsft.data.schema import (
    FORMAT_VERSION,
    DatasetSchema,
    arrow_schema,
    image_key,
    lerobot_features,
    numeric_shapes,
)
from vlm_qsft.data.staging import EpisodeNote, read_staged
from vlm_qsft.data.statistics import FeatureStatistics, numeric_statistics, picture_statistics
from vlm_qsft.data.storage import storage_errors
from vlm_qsft.errors import DatasetError

DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_PER_CHUNK = 1000
DATA_FILE_BYTES = 100 * 1024**2
EPISODES_PER_FILE = 5000
ATTRIBUTE_PREFIX = "attributes/"


@dataclass(frozen=True)
class EpisodeRow:
    """One row of the episode table."""

    length: int
    first_frame: int
    data_chunk: int
    data_file: int
    note: EpisodeNote
    statistics: dict[str, FeatureStatistics]


def assemble(target: Path, root: Path, n_episodes: int, *, schema: DatasetSchema) -> list[EpisodeRow]:
    """Write data/ below `target` from the staged episodes of `root`: one row group per episode.

    Memory holds one episode at a time. Returns the rows of the episode table.

    Raises:
        DatasetError: a staged episode cannot be read.
        StorageError: disk full.
    """
    rows: list[EpisodeRow] = []
    task_indices: dict[str, int] = {}
    columns = arrow_schema(schema)
    pictures = {image_key(camera) for camera in schema.cameras}
    settings = {
        # Pictures are compressed already; statistics of their bytes would only bloat the footer.
        "compression": {
            f"{name}.{part}" if part else name: "none" if name in pictures else "snappy"
            for name in columns.names
            for part in (("bytes", "path") if name in pictures else leaf_names(columns.field(name).type))
        },
        "write_statistics": ["episode_index", "frame_index", "index", "task_index"],
        "use_dictionary": False,
    }
    writer: pq.ParquetWriter | None = None
    file_number, file_bytes, first_frame = -1, 0, 0
    try:
        for index in range(n_episodes):
            staged = read_staged(root, index)
            task = task_indices.setdefault(staged.note.instruction, len(task_indices))
            table = with_indices(staged.table, schema, index=index, first_frame=first_frame, task=task)
            if writer is None or file_bytes + table.nbytes > DATA_FILE_BYTES:
                if writer is not None:
                    writer.close()
                file_number, file_bytes = file_number + 1, 0
                path = target / numbered(DATA_PATH, file_number)
                with storage_errors(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    writer = pq.ParquetWriter(path, columns, **settings)
            with storage_errors(target / numbered(DATA_PATH, file_number)):
                writer.write_table(table, row_group_size=table.num_rows)
            file_bytes += table.nbytes
            chunk, file = divmod(file_number, FILES_PER_CHUNK)
            statistics = episode_statistics(table, staged.note, schema)
            rows.append(EpisodeRow(table.num_rows, first_frame, chunk, file, staged.note, statistics))
            first_frame += table.num_rows
    finally:
        if writer is not None:
            with storage_errors(target):
                writer.close()
    return rows


def write_meta(target: Path, rows: list[EpisodeRow], *, schema: DatasetSchema, labels: Mapping[str, object]) -> None:
    """Write meta/ below `target`, whose data/ stands already.

    Args:
        labels: content of meta/labels.json.
    Raises:
        DatasetError: an attribute has different types in different episodes.
        StorageError: disk full.
    """
    n_frames = sum(row.length for row in rows)
    tasks = list(dict.fromkeys(row.note.instruction for row in rows))
    info = {
        "codebase_version": FORMAT_VERSION,
        "fps": int(schema.fps) if schema.fps.denominator == 1 else float(schema.fps),
        "features": lerobot_features(schema),
        "total_episodes": len(rows),
        "total_frames": n_frames,
        "total_tasks": len(tasks),
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": DATA_FILE_BYTES // 1024**2,
        "video_files_size_in_mb": 200,
        "data_path": DATA_PATH,
        "video_path": None,
        "robot_type": schema.robot_type,
        "splits": {"train": f"0:{len(rows)}"},
    }
    meta = target / "meta"
    with storage_errors(meta):
        meta.mkdir(parents=True, exist_ok=True)
        write_episode_table(target, rows)
        pq.write_table(task_table(tasks), meta / "tasks.parquet")
        write_json(meta / "stats.json", dataset_statistics(target, rows, schema))
        write_json(meta / "labels.json", labels)
        write_json(meta / "info.json", info)


def with_indices(table: pa.Table, schema: DatasetSchema, *, index: int, first_frame: int, task: int) -> pa.Table:
    """Return the staged columns with LeRobot's index columns, in the order of the schema."""
    frames = np.arange(table.num_rows, dtype=np.int64)
    numbers = {
        "timestamp": (frames * float(1 / schema.fps)).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full_like(frames, index),
        "index": frames + first_frame,
        "task_index": np.full_like(frames, task),
    }
    for name, values in numbers.items():
        table = table.append_column(name, pa.array(values))
    columns = arrow_schema(schema)
    return table.select(columns.names).replace_schema_metadata(None).cast(columns)


def episode_statistics(table: pa.Table, note: EpisodeNote, schema: DatasetSchema) -> dict[str, FeatureStatistics]:
    """Return the statistics of one episode."""
    statistics = {
        image_key(camera): picture_statistics(counts, note.n_sampled) for camera, counts in note.histograms.items()
    }
    columns = {key: column_values(table.column(key), key, width) for key, (_, width) in numeric_shapes(schema).items()}
    return statistics | numeric_statistics(columns)


def dataset_statistics(target: Path, rows: list[EpisodeRow], schema: DatasetSchema) -> dict[str, FeatureStatistics]:
    """Return the statistics of the whole data set, one column in memory at a time."""
    files = sorted((target / "data").glob("*/*.parquet"))
    statistics: dict[str, FeatureStatistics] = {}
    for camera in schema.cameras:
        counts = np.sum([row.note.histograms[camera] for row in rows], axis=0)
        statistics[image_key(camera)] = picture_statistics(counts, sum(row.note.n_sampled for row in rows))
    for key, (_, width) in numeric_shapes(schema).items():
        parts = [column_values(pq.read_table(file, columns=[key]).column(key), key, width) for file in files]
        statistics |= numeric_statistics({key: np.concatenate(parts)})
    return statistics


def write_episode_table(target: Path, rows: list[EpisodeRow]) -> None:
    """Write meta/episodes: where every episode lies, its instruction, outcome, attributes and statistics."""
    attributes = {name for row in rows for name in row.note.attributes}
    types = {name: attribute_type(name, rows) for name in sorted(attributes)}
    for number, start in enumerate(range(0, len(rows), EPISODES_PER_FILE)):
        part = rows[start : start + EPISODES_PER_FILE]
        chunk, file = divmod(number, FILES_PER_CHUNK)
        columns: dict[str, pa.Array] = {
            "episode_index": pa.array(range(start, start + len(part)), pa.int64()),
            "tasks": pa.array([[row.note.instruction] for row in part], pa.list_(pa.string())),
            "length": pa.array([row.length for row in part], pa.int64()),
            "data/chunk_index": pa.array([row.data_chunk for row in part], pa.int64()),
            "data/file_index": pa.array([row.data_file for row in part], pa.int64()),
            "dataset_from_index": pa.array([row.first_frame for row in part], pa.int64()),
            "dataset_to_index": pa.array([row.first_frame + row.length for row in part], pa.int64()),
            "meta/episodes/chunk_index": pa.array([chunk] * len(part), pa.int64()),
            "meta/episodes/file_index": pa.array([file] * len(part), pa.int64()),
            "success": pa.array([row.note.success for row in part]),
            "terminated": pa.array([row.note.terminated for row in part]),
            "truncated": pa.array([row.note.truncated for row in part]),
        }
        for name, kind in types.items():
            columns[ATTRIBUTE_PREFIX + name] = pa.array([row.note.attributes.get(name) for row in part], kind)
        for key, statistics in part[0].statistics.items():
            for statistic in statistics:
                columns[f"stats/{key}/{statistic}"] = pa.array([row.statistics[key][statistic] for row in part])
        path = target / numbered(EPISODES_PATH, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)


def attribute_type(name: str, rows: list[EpisodeRow]) -> pa.DataType:
    """Return the one type that an attribute has in all episodes.

    Raises:
        DatasetError: it has several.
    """
    seen: dict[type[Attribute], int] = {}
    for index, row in enumerate(rows):
        if name in row.note.attributes:
            seen.setdefault(type(row.note.attributes[name]), index)
    if len(seen) > 1:
        places = ", ".join(f"{kind.__name__} in episode {index}" for kind, index in seen.items())
        raise DatasetError(f"Attribute '{name}' has several types: {places}. Give it one type everywhere.")
    return {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}[next(iter(seen))]


def task_table(tasks: list[str]) -> pa.Table:
    """Return meta/tasks.parquet: the instruction is the index of a pandas frame, as LeRobot reads it."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    note = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": pandas, "numpy_type": numpy, "metadata": None}
            for name, pandas, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
        ],
        "pandas_version": "2.3.3",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(note)})


def leaf_names(kind: pa.DataType) -> tuple[str, ...]:
    """Return what parquet appends to a column's name to address its values."""
    return ("list.element",) if pa.types.is_fixed_size_list(kind) else ("",)


def numbered(template: str, number: int) -> str:
    """Return the path of the number-th file."""
    chunk, file = divmod(number, FILES_PER_CHUNK)
    return template.format(chunk_index=chunk, file_index=file)


def write_json(path: Path, content: object) -> None:
    """Write JSON with the order of keys that it has."""
    path.write_text(json.dumps(content, indent=2) + "\n")
