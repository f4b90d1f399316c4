"""The features of one episode, step by step: out of its rows, and out of its videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from qsft_datasets.lerobot.arrow_values import byte_strings, kind_of, numbers, pictures, texts
from qsft_datasets.lerobot.description import POSITIONS, task_path
from qsft_datasets.lerobot.episode_videos import check_size, part_of_file, whole_file
from qsft_datasets.lerobot.layout import CAMERA_TYPES, Layout
from qsft_datasets.source import SourceFeature, StepValues, VideoStretch
from vlm_qsft.errors import DatasetError


class Steps(Mapping[str, StepValues]):
    """Values by feature. One that cannot be had raises when it is asked for: a mapping may leave it out."""

    def __init__(self, values: Mapping[str, StepValues | DatasetError]) -> None:
        """Take values, and errors in the place of those that cannot be had."""
        self._values = values

    def __getitem__(self, path: str) -> StepValues:
        """Return the values of a feature.

        Raises:
            DatasetError: its column or its video is missing or damaged.
        """
        value = self._values[path]
        if isinstance(value, DatasetError):
            raise value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def episode_steps(
    layout: Layout, features: Iterable[SourceFeature], number: int, rows: pa.Table
) -> tuple[Steps, tuple[str, ...]]:
    """Return the values of every feature, and what is odd about its videos.

    Args:
        number: position of the episode in the list.
        rows: of the episode, all columns.
    Raises:
        DatasetError: a column that the first data file does not have.
    """
    path = layout.root / layout.data_names[number]
    known = {feature.path: feature for feature in features if not feature.per_episode}
    for key in rows.column_names:
        if key not in known and key not in POSITIONS and rows.column(key).null_count < len(rows):
            raise DatasetError(f"{path} has a column '{key}' that the first data file does not have.")
    task = task_path(layout, rows.column_names)
    values: dict[str, StepValues | DatasetError] = {}
    notes: list[str] = []
    for key, feature in known.items():
        try:
            if feature.kind == "video":
                values[key] = _stretch(layout, feature, number, notes)
            elif key == task:
                values[key] = _tasks(layout, number, rows, path)
            elif key in rows.column_names:
                values[key] = _column(layout, feature, rows.column(key), path)
            else:
                values[key] = DatasetError(f"{path} lacks the column '{key}' that the first data file has.")
        except DatasetError as error:
            values[key] = error
    return Steps(values), tuple(notes)


def _column(layout: Layout, feature: SourceFeature, column: pa.ChunkedArray, path: Path) -> StepValues:
    key = feature.path
    entry = layout.info.features.get(key)
    what = kind_of(column.type, is_camera=entry is not None and entry.dtype in CAMERA_TYPES)
    readers: dict[tuple[str, str], Callable[[], StepValues]] = {
        ("number", "number"): lambda: _numbers(feature, column, path),
        ("number", "image"): lambda: _numbers(feature, column, path),
        ("number", "text"): lambda: _texts_of(layout, numbers(column, (), f"{path}: {key}"), key, path),
        ("text", "text"): lambda: texts(column, "text"),
        ("json", "text"): lambda: texts(column, "json"),
        ("bytes", "bytes"): lambda: byte_strings(column),
        ("image", "image"): lambda: pictures(column, key, root=layout.root, data_file=path),
    }
    reader = readers.get((what, feature.kind))
    if reader is None:
        raise DatasetError(f"{path} has {column.type} in '{key}'; in the first data file it is {feature.kind}.")
    return reader()


def _numbers(feature: SourceFeature, column: pa.ChunkedArray, path: Path) -> np.ndarray:
    values = numbers(column, tuple(side or 0 for side in feature.shape), f"{path}: {feature.path}")
    if values.dtype != feature.dtype:
        raise DatasetError(f"{path} has {values.dtype} in '{feature.path}'; the first data file has {feature.dtype}.")
    return values


def _tasks(layout: Layout, number: int, rows: pa.Table, path: Path) -> list[str]:
    """Return the instruction of every step."""
    listed = layout.episodes[number]
    if layout.tasks is None or "task_index" not in rows.column_names:
        if len(listed.tasks) != 1:
            raise DatasetError(f"{path}: the list of episodes gives episode {listed.index} {len(listed.tasks)} tasks.")
        return [listed.tasks[0]] * listed.length
    return _texts_of(layout, numbers(rows.column("task_index"), (), f"{path}: task_index"), "task_index", path)


def _texts_of(layout: Layout, indices: np.ndarray, key: str, path: Path) -> list[str]:
    tasks = layout.tasks or {}
    written = indices.tolist()
    unknown = next((step for step, index in enumerate(written) if index not in tasks), None)
    if unknown is not None:
        known = ", ".join(str(index) for index in list(tasks)[:5])
        raise DatasetError(
            f"{path}: '{key}' is {written[unknown]} in step {unknown}, which is no task. "
            f"The list of tasks has {known}{', ...' if len(tasks) > 5 else ''}."
        )
    return [tasks[index] for index in written]


def _stretch(layout: Layout, feature: SourceFeature, number: int, notes: list[str]) -> VideoStretch:
    listed, key = layout.episodes[number], feature.path
    name = layout.video_names[key][number]
    if name is None:
        raise DatasetError(f"{layout.root}: the list of episodes gives episode {listed.index} no video of '{key}'.")
    path = layout.root / name
    if not path.is_file():
        raise DatasetError(f"{path} is missing: the metadata names it. Copy the data set again.")
    check_size(path, feature.shape)
    if layout.family == "v3":
        return part_of_file(path, listed.videos[key], listed.length, layout.info.fps)
    stretch, more = whole_file(path, listed.length, layout.info.fps)
    notes += more
    return stretch
