"""The files of meta/ besides the episode table: info, statistics, tasks, labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Shaped

from vlm_qsft.data.assembly import Assembled
from vlm_qsft.data.columns import column_values
from vlm_qsft.data.data_files import DATA_FILE_BYTES
from vlm_qsft.data.file_numbers import DATA_PATH, FILES_PER_CHUNK, VIDEO_PATH
from vlm_qsft.data.schema import FORMAT_VERSION, DatasetSchema, image_key, lerobot_features, numeric_shapes
from vlm_qsft.data.statistics import FeatureStatistics, numeric_statistics
from vlm_qsft.data.storage import storage_errors
from vlm_qsft.data.video_clips import video_note

NUMBERS_AT_ONCE = 4_000_000
"""Numbers of a column that its statistics hold at once: about 100 MB with their copies."""


def write_meta(target: Path, assembled: Assembled, *, schema: DatasetSchema, labels: Mapping[str, object]) -> None:
    """Write meta/ below `target`, whose data/ and episode table stand already.

    Args:
        labels: content of meta/labels.json.
    Raises:
        StorageError: disk full.
    """
    features = lerobot_features(schema)
    for camera, path in assembled.videos.items():
        features[image_key(camera)]["info"] = video_note(path)
    info = {
        "codebase_version": FORMAT_VERSION,
        "fps": int(schema.fps) if schema.fps.denominator == 1 else float(schema.fps),
        "features": features,
        "total_episodes": assembled.n_episodes,
        "total_frames": assembled.n_frames,
        "total_tasks": len(assembled.tasks),
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": DATA_FILE_BYTES // 1024**2,
        "video_files_size_in_mb": 200,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if assembled.videos else None,
        "robot_type": schema.robot_type,
        "splits": {"train": f"0:{assembled.n_episodes}"},
    }
    meta = target / "meta"
    with storage_errors(meta):
        meta.mkdir(parents=True, exist_ok=True)
        pq.write_table(task_table(assembled.tasks), meta / "tasks.parquet")
        write_json(meta / "stats.json", assembled.picture_statistics | column_statistics(target, schema))
        write_json(meta / "labels.json", labels)
        write_json(meta / "info.json", info)


def column_statistics(target: Path, schema: DatasetSchema) -> dict[str, FeatureStatistics]:
    """Return the statistics of every column of numbers; memory holds as many dimensions of one at once as fit."""
    files = sorted((target / "data").glob("*/*.parquet"))
    n_frames = sum(pq.read_metadata(file).num_rows for file in files)
    at_once = max(1, NUMBERS_AT_ONCE // n_frames)
    statistics: dict[str, FeatureStatistics] = {}
    for key, (dtype, width) in numeric_shapes(schema).items():
        joined: FeatureStatistics = {}
        for start in range(0, width, at_once):
            values = np.empty((n_frames, min(at_once, width - start)), dtype)
            first = 0
            for part in column_parts(files, key, width):
                values[first : first + len(part)] = part[:, start : start + at_once]
                first += len(part)
            for name, numbers in numeric_statistics({key: values})[key].items():
                joined[name] = numbers if name == "count" else joined.get(name, []) + numbers
        statistics[key] = joined
    return statistics


def column_parts(files: Sequence[Path], key: str, width: int) -> Iterator[Shaped[np.ndarray, "frame dim"]]:
    """Yield a column of all files, one row group after the other."""
    for path in files:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=[key], use_threads=False)
                yield column_values(table.column(key), key, width)


def task_table(tasks: Sequence[str]) -> pa.Table:
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


def write_json(path: Path, content: object) -> None:
    """Write JSON with the order of keys that it has."""
    path.write_text(json.dumps(content, indent=2) + "\n")
