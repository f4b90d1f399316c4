"""The rest of meta/: info.json, stats.json and labels.json of a labelled data set; every other file as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsft_datasets.labeling.data_files import opened
from qsft_datasets.labeling.label_frames import Frames
from qsft_datasets.labeling.plan import LabelPlan
from vlm_qsft.data.columns import column_values
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.schema import LABEL_DTYPES
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.statistics import FeatureStatistics, numeric_statistics
from vlm_qsft.data.storage import copy_durably, write_durably

NOT_NUMBERS = ("image", "video", "string", "language")


def write_meta_files(
    reader: DatasetReader, target: Path, plan: LabelPlan, frames: Frames, *, data_files: list[Path]
) -> None:
    """Write meta/ of the new data set but for the episode table, which stands there already.

    Args:
        frames: labels of all frames.
        data_files: of the new data set, in the order of their frames.
    Raises:
        DatasetError: a file is damaged.
        StorageError: disk full.
    """
    meta = reader.root / "meta"
    info, features = labelled_info(read_json(meta / "info.json"), plan)
    path = meta / "stats.json"
    stored = read_json(path) if path.exists() else {}
    contents = {
        "info.json": info,
        "stats.json": labelled_statistics(stored, features, frames, data_files=data_files),
        "labels.json": labels_record(reader, plan),
    }
    for name, content in contents.items():
        write_durably(target / "meta" / name, (json.dumps(content, indent=2) + "\n").encode())
    for source in sorted(meta.rglob("*")):
        place = source.relative_to(meta)
        if source.is_file() and place.parts[0] != "episodes" and str(place) not in contents:
            copy_durably(source, target / "meta" / place)


def labelled_info(info: dict[str, Any], plan: LabelPlan) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return meta/info.json with the new features and counts, and its features."""
    features: dict[str, dict[str, Any]] = {**info["features"]}
    features |= {kept: features[old] for old, kept in plan.preserved.items()}
    features |= {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in LABEL_DTYPES.items()}
    n_episodes = len(plan.all_outcomes)
    counts = {"total_episodes": n_episodes, "total_frames": int(plan.all_lengths.sum())}
    return {**info, "features": features, **counts, "splits": splits(info.get("splits"), plan, n_episodes)}, features


def splits(stored: object, plan: LabelPlan, n_episodes: int) -> dict[str, Any]:
    """Return the splits: one that covers every recorded episode covers the copies too, else they are their own."""
    kept = {name: part for name, part in stored.items() if name != "counterfactual"} if isinstance(stored, dict) else {}
    if len(kept) <= 1:
        return {next(iter(kept), "train"): f"0:{n_episodes}"}
    return kept | ({"counterfactual": f"{plan.n_recorded}:{n_episodes}"} if plan.copies else {})


def labelled_statistics(
    stored: dict[str, Any], features: Mapping[str, Mapping[str, Any]], frames: Frames, *, data_files: list[Path]
) -> dict[str, Any]:
    """Return meta/stats.json: of the labels anew, of other numbers where their count has changed.

    Statistics of pictures stay: those of copies were counted already.

    Raises:
        DatasetError: a file is damaged.
    """
    statistics = dict(stored)
    for key, feature in features.items():
        if key in LABEL_DTYPES:
            statistics |= numeric_statistics({key: frames[key][:, None]})
        elif feature["dtype"] not in NOT_NUMBERS and count_of(stored.get(key)) != len(frames["mc_return"]):
            statistics[key] = column_statistics(key, int(np.prod(feature["shape"])), data_files)
    return {key: statistics[key] for key in [*(k for k in features if k in statistics), *statistics]}


def count_of(statistics: object) -> int | None:
    """Return how many frames a stored statistic counts."""
    count = statistics.get("count") if isinstance(statistics, dict) else None
    return int(count[0]) if isinstance(count, list) and count else None


def column_statistics(key: str, width: int, data_files: list[Path]) -> FeatureStatistics:
    """Return the exact statistics of one column. Raises as `labelled_statistics`."""
    parts = []
    for path in data_files:
        with opened(path) as file:
            parts.append(column_values(file.read(columns=[key], use_threads=False).column(key), key, width))
    return numeric_statistics({key: np.concatenate(parts)})[key]


def labels_record(reader: DatasetReader, plan: LabelPlan) -> dict[str, Any]:
    """Return meta/labels.json: what a recorder wrote there beside the labels stays, who recorded is remembered."""
    path, labels = reader.root / "meta/labels.json", reader.metadata.labels
    stored = read_json(path) if path.exists() else {}
    record = {**plan.to_record(), "fps": str(reader.schema.fps)}
    if labels is not None and "digest" not in stored:
        record["recorded_by"] = labels.source
    replaced = set(record) if labels is None else {*record, *labels.to_record()}
    return record | {name: value for name, value in stored.items() if name not in replaced}
