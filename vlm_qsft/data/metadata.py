"""The meta/ folder of a LeRobotDataset v3.0: read, checked against itself and against the files that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vlm_qsft.data.episode_table import (
    EpisodeTable,
    VideoPlace,
    episode_table,
    read_episode_table,
    read_video_place,
    resolve_files,
)
from vlm_qsft.data.features import dimension_names, is_depth, picture_size
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.reward_rules import REWARD_RULES
from vlm_qsft.data.schema import (
    ACTION_KEY,
    FORMAT_VERSION,
    IMAGE_PREFIX,
    KEPT_DTYPES,
    STATE_KEY,
    CameraStorage,
    DatasetSchema,
    KeptColumn,
    NumberType,
    is_kept_key,
)
from vlm_qsft.data.source_files import read_json, read_table
from vlm_qsft.data.staging import FOLDER, staged_indices
from vlm_qsft.errors import DatasetError

RELABELING_FOLDER = "relabeling"
"""Where new labels are built beside the data set; see qsft_datasets.labeling.exchange."""
NOT_NUMBERS = ("image", "video", "string", "language")
"""Types of features that are no columns of numbers."""


@dataclass(frozen=True)
class Metadata:
    """Everything that meta/ says.

    Attributes:
        image_keys: camera -> feature key (not every data set writes "observation.images.").
        widths: feature key -> numbers per frame, without pictures.
        tasks: instruction of every task index.
        data_files: parquet files in the order of their frames.
        videos: camera -> where its frames lie; empty in image mode.
        labels: how our labels came about; None in data sets of others.
        fingerprint: changes when the content changes.
    """

    schema: DatasetSchema
    image_keys: Mapping[str, str]
    widths: Mapping[str, int]
    tasks: tuple[str, ...]
    episodes: EpisodeTable
    data_files: tuple[Path, ...]
    videos: Mapping[str, VideoPlace]
    labels: LabelSettings | None
    fingerprint: str


def load_metadata(root: Path) -> Metadata:
    """Read and check meta/.

    Raises:
        DatasetError: not finalized, of another version, incomplete, or at odds with itself; says which file.
    """
    refuse_unfinished(root)
    info = read_json(root / "meta/info.json")
    version = info.get("codebase_version")
    if version != FORMAT_VERSION:
        raise DatasetError(
            f"{root} has format version {version}; this reader takes {FORMAT_VERSION}. Convert it to v3.0 first."
        )
    try:
        features = dict(info["features"])
        n_episodes, n_frames = int(info["total_episodes"]), int(info["total_frames"])
        data_path, video_path = str(info["data_path"]), info.get("video_path")
        labels = read_labels(root)
        schema, image_keys = read_schema(info, features, root)
        widths = {key: int(np.prod(ft["shape"])) for key, ft in features.items() if ft["dtype"] not in NOT_NUMBERS}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{root / 'meta/info.json'} is incomplete or wrong: {error!r}.") from error
    table = read_episode_table(root, n_episodes, n_frames)
    tasks = read_tasks(root)
    data_files, data_file = resolve_files(root, data_path, table, "data")
    return Metadata(
        schema=schema,
        image_keys=image_keys,
        widths=widths,
        tasks=tasks,
        episodes=episode_table(table, data_file),
        data_files=data_files,
        videos={
            camera: read_video_place(root, str(video_path), table, key)
            for camera, key in image_keys.items()
            if features[key]["dtype"] == "video"
        },
        labels=labels,
        fingerprint=fingerprint(root, data_files),
    )


def refuse_unfinished(root: Path) -> None:
    """Refuse a folder that holds no complete data set.

    Raises:
        DatasetError: says what is there and what to do.
    """
    if (root / "meta/info.json").exists():
        return
    if (root / RELABELING_FOLDER / "ready").exists():
        raise DatasetError(
            f"{root} was interrupted while its labels were exchanged. Run the same `qsft label` command again: "
            "it continues at once."
        )
    if (root / FOLDER).is_dir():
        raise DatasetError(
            f"{root} is not finalized: {len(staged_indices(root))} complete episodes are waiting in {FOLDER}/. "
            "Run the command that records it again: it continues and finalizes."
        )
    what = "does not exist" if not root.exists() else "is no data set: meta/info.json is missing"
    raise DatasetError(f"{root} {what}.")


def read_schema(info: dict, features: dict[str, dict], root: Path) -> tuple[DatasetSchema, dict[str, str]]:
    """Return the schema and the feature key of every camera. Depth maps are no RGB pictures and are left out.

    Raises:
        DatasetError: no action.
    """
    if ACTION_KEY not in features:
        raise DatasetError(f"{root} has no feature 'action'. Features: {', '.join(sorted(features))}.")
    image_keys: dict[str, str] = {}
    storages: set[CameraStorage] = set()
    for key, feature in features.items():
        if feature["dtype"] not in ("image", "video") or is_depth(feature):
            continue
        image_keys[key.removeprefix(IMAGE_PREFIX).removeprefix("observation.")] = key
        storages.add(feature["dtype"])
    if len(storages) > 1:
        raise DatasetError(f"{root} keeps some cameras as pictures and some as video; expected one kind.")
    exact_fps = root / "meta/labels.json"
    fps = read_json(exact_fps).get("fps") if exact_fps.exists() else None
    schema = DatasetSchema(
        cameras={camera: picture_size(features[key]) for camera, key in image_keys.items()},
        state_names=dimension_names(features.get(STATE_KEY), "state"),
        action_names=dimension_names(features[ACTION_KEY], "action"),
        fps=Fraction(fps if fps is not None else str(info["fps"])),
        robot_type=str(info.get("robot_type") or "unknown"),
        camera_storage=storages.pop() if storages else "image",
        state_dtype=number_type(features.get(STATE_KEY)),
        action_dtype=number_type(features[ACTION_KEY]),
        kept={
            key: KeptColumn(feature["dtype"], int(np.prod(feature["shape"])))
            for key, feature in features.items()
            if is_kept_key(key) and feature["dtype"] in KEPT_DTYPES and np.prod(feature["shape"]) > 0
        },
    )
    return schema, image_keys


def number_type(feature: dict | None) -> NumberType:
    """Return float64 where a vector is stored so; everything else is read as float32."""
    return "float64" if feature is not None and feature["dtype"] == "float64" else "float32"


def read_labels(root: Path) -> LabelSettings | None:
    """Return how the labels came about, or None where meta/labels.json is absent.

    Raises:
        DatasetError: a rule that this version does not know, or a field is missing.
    """
    path = root / "meta/labels.json"
    if not path.exists():
        return None
    record = read_json(path)
    if record.get("reward_rule") not in REWARD_RULES:
        raise DatasetError(
            f"{path} names reward rule '{record.get('reward_rule')}'. Known: {', '.join(sorted(REWARD_RULES))}."
        )
    try:
        return LabelSettings.from_record(record)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is incomplete or wrong: {error!r}. Label the data set again.") from error


def read_tasks(root: Path) -> tuple[str, ...]:
    """Return the instruction of every task index.

    Raises:
        DatasetError: the file is missing, or indices are not 0, 1, 2, ...
    """
    path = root / "meta/tasks.parquet"
    table = read_table(path)
    texts = next((name for name in ("task", "__index_level_0__") if name in table.column_names), None)
    if texts is None or "task_index" not in table.column_names:
        raise DatasetError(f"{path} has columns {table.column_names}; expected task and task_index.")
    tasks = dict(zip(table.column("task_index").to_pylist(), table.column(texts).to_pylist(), strict=True))
    if sorted(tasks) != list(range(len(tasks))):
        raise DatasetError(f"{path} has task indices {sorted(tasks)[:5]}...; expected 0 to {len(tasks) - 1}.")
    return tuple(str(tasks[index]) for index in range(len(tasks)))


def refuse_unknown_tasks(root: Path, indices: Shaped[np.ndarray, " frame"], *, n_tasks: int) -> None:
    """Refuse frames of a task that has no instruction: an index below zero would be another task's.

    Raises:
        DatasetError: names the first such frame.
    """
    unknown = np.flatnonzero((indices < 0) | (indices >= n_tasks))
    if len(unknown):
        raise DatasetError(
            f"Frame {unknown[0]} of {root} has task index {indices[unknown[0]]}; meta/tasks.parquet has the "
            f"tasks 0 to {n_tasks - 1}. Correct the metadata or the data."
        )


def fingerprint(root: Path, data_files: tuple[Path, ...]) -> str:
    """Return a hash of the metadata and of the sizes of the data files."""
    digest = hashlib.sha256()
    for name in ("info.json", "stats.json", "labels.json"):
        path = root / "meta" / name
        digest.update(path.read_bytes() if path.exists() else b"absent")
    for file in data_files:
        digest.update(f"{file.name}:{file.stat().st_size};".encode())
    return digest.hexdigest()
