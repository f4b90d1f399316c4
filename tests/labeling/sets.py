"""Small data sets to label: one of ours, and one that LeRobot writes, with pictures or with video."""

from __future__ import annotations

import json
import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from vlm_qsft.data import DatasetSchema, DatasetWriter, Episode, LabelSettings, binary01_reward
from vlm_qsft.data.schema import LABEL_DTYPES

SCHEMA = DatasetSchema(
    cameras={"front": (16, 24)}, state_names=("x", "y"), action_names=("dx", "gripper"), fps=Fraction(25, 2)
)
LENGTHS = (4, 6, 5, 3, 7)
SUCCESSES = (True, False, True, False, True)
INSTRUCTIONS = ("pick the red cube", "pick the blue cube", "pick the blue cube", "pick the red cube", "open the drawer")


def pictures(seed: int, length: int, size: tuple[int, int]) -> np.ndarray:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    frames = [(rows * 5 + columns * 3 + 40 * seed + 9 * frame) % 256 for frame in range(length)]
    return np.stack([np.stack([frame, frame // 2, 255 - frame], axis=-1) for frame in frames]).astype(np.uint8)


def episode(number: int, *, key: str | None = None, outcome_source: str | None = None) -> Episode:
    length, success = LENGTHS[number], SUCCESSES[number]
    generator = np.random.default_rng(number)
    return Episode(
        images={"front": pictures(number, length, SCHEMA.cameras["front"])},
        state=generator.normal(size=(length, 2)).astype(np.float32),
        action=generator.normal(size=(length, 2)).astype(np.float32),
        reward=binary01_reward(length, success=success),
        terminated=success,
        truncated=not success,
        success=success,
        instruction=INSTRUCTIONS[number],
        attributes={"quality": "good" if success else "poor"}
        | ({"source_key": key} if key else {})
        | ({"outcome_source": outcome_source} if outcome_source else {}),
    )


def write_set(root: Path, keys: tuple[str, ...] | None = None, *, outcome_source: str | None = None) -> Path:
    """Five episodes of ours; with `keys` each knows its path at the source."""
    with DatasetWriter(root, SCHEMA, labels=LabelSettings("binary01", 0.5, "script")) as writer:
        for number in range(len(LENGTHS)):
            writer.add_episode(episode(number, key=keys[number] if keys else None, outcome_source=outcome_source))
        writer.finalize()
    return root


def write_lerobot_set(root: Path, *, use_videos: bool) -> Path:
    """Five episodes in LeRobot's own hand, with dense rewards, success on the last frame and `next.done` everywhere."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    logging.disable(logging.WARNING)
    size = (64, 64)
    features = {
        "observation.images.front": {
            "dtype": "video" if use_videos else "image",
            "shape": (*size, 3),
            "names": ["height", "width", "channels"],
        },
        "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "gripper"]},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
        "next.success": {"dtype": "bool", "shape": (1,), "names": None},
        "next.done": {"dtype": "bool", "shape": (1,), "names": None},
    }
    theirs = LeRobotDataset.create("local/theirs", fps=10, features=features, root=root, use_videos=use_videos)
    for number, length in enumerate(LENGTHS):
        images, generator = pictures(number, length, size), np.random.default_rng(number)
        for frame in range(length):
            last = frame == length - 1
            theirs.add_frame(
                {
                    "observation.images.front": images[frame],
                    "observation.state": generator.normal(size=2).astype(np.float32),
                    "action": generator.normal(size=2).astype(np.float32),
                    "next.reward": np.array([2.0 * frame + 3.0 * (last and SUCCESSES[number])], np.float32),
                    "next.success": np.array([last and SUCCESSES[number]]),
                    "next.done": np.array([last]),
                    "task": INSTRUCTIONS[number],
                }
            )
        theirs.save_episode()
    theirs.finalize()
    logging.disable(logging.NOTSET)
    return root


def without_labels(root: Path) -> Path:
    """Take every label out of a set of ours: frames, pictures and instructions stay."""
    (root / "meta/labels.json").unlink()
    for path in sorted(root.rglob("*.parquet")):
        table = pq.read_table(path)
        gone = [*LABEL_DTYPES, "success", "terminated", "truncated"]
        table = table.drop_columns([name for name in gone if name in table.column_names])
        notes = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        for name in LABEL_DTYPES:
            notes.get("info", {}).get("features", {}).pop(name, None)
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(notes)}) if notes else table, path)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"] = {name: feature for name, feature in info["features"].items() if name not in LABEL_DTYPES}
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def content(root: Path) -> dict[str, bytes]:
    """Every file and its bytes."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
