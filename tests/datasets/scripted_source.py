"""A source of scripted episodes: what a format offers, without a format. Tests damage it and kill its conversion.

A folder is recognised by the file scripted.json: {"episodes": 6, "bad": [2]}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from qsft_datasets.source import EpisodeReference, SourceDescription, SourceEpisode, SourceFeature, StepValues
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import encode_jpeg, encode_png

SIZE = (24, 32)
STEPS = 5
FEATURES = (
    SourceFeature("observation/image_0", "image", "uint8", (None, None, 3)),
    SourceFeature("observation/wrist", "image", "uint8", (*SIZE, 3)),
    SourceFeature("observation/state", "number", "float32", (4,), names=("x", "y", "z", "gripper")),
    SourceFeature("action", "number", "float32", (4,)),
    SourceFeature("language_instruction", "text", "str", ()),
    SourceFeature("reward", "number", "float32", ()),
    SourceFeature("is_terminal", "number", "bool", ()),
    SourceFeature("is_first", "number", "bool", ()),
    SourceFeature("joint", "number", "float64", (2,)),
    SourceFeature("episode_metadata/scene", "number", "int64", (), per_episode=True),
)
MAPPING = """
name: scripted
format: rlds
fps: 12.5
robot_type: widow
cameras:
  - name: front
    path: observation/image_0
  - {name: wrist, path: observation/wrist}
state:
  - path: observation/state
    names: [x, y, z, gripper]
action:
  - path: action
    names: [dx, dy, dz, grip]
    meaning: delta
gripper:
  - {name: grip, open: 1, closed: 0}
instruction: language_instruction
reward: reward
terminated: is_terminal
last_step: padding
outcome: {source: reward, path: reward, where: any}
keep: {joint: joint}
attributes: {scene: episode_metadata/scene}
ignore: {is_first: boundaries come from the records}
"""


@dataclass(frozen=True)
class ScriptedSource:
    """Deterministic episodes with everything that a mapping can use."""

    root: Path
    episodes: int = 6
    bad: tuple[int, ...] = ()
    steps: int = STEPS
    features: tuple[SourceFeature, ...] = FEATURES
    fps: Fraction | None = None
    changes: dict[str, StepValues] = field(default_factory=dict)

    @property
    def description(self) -> SourceDescription:
        return SourceDescription("rlds", "scripted", self.features, fps=self.fps)

    def references(self) -> list[EpisodeReference]:
        return [
            EpisodeReference(f"shard-{number // 4}#{number}", f"shard-{number // 4}", (number,), split="train")
            for number in range(self.episodes)
        ]

    def read(self, reference: EpisodeReference) -> SourceEpisode:
        number = int(reference.position[0])
        if number in self.bad:
            raise DatasetError(f"{reference.file}, record {number}: the checksum is wrong.")
        steps = scripted_steps(number, self.steps + number % 3) | self.changes
        steps = {path: values for path, values in steps.items() if any(f.path == path for f in self.features)}
        return SourceEpisode(reference.key, self.steps + number % 3, steps, {"episode_metadata/scene": number})


def scripted_steps(number: int, length: int) -> dict[str, Any]:
    """Every second episode succeeds; actions are changes of the state; the last step is padding."""
    generator = np.random.default_rng(number)
    moves = generator.normal(size=(length, 3)).astype(np.float32)
    grip = (np.arange(length) >= length // 2).astype(np.float32)
    action = np.concatenate([moves, grip[:, None]], axis=1)
    action[-1] = 0
    state = np.zeros((length, 4), np.float32)
    state[1:, :3] = np.cumsum(action[:-1, :3], axis=0)
    state[1:, 3] = grip[:-1]
    reward = np.zeros(length, np.float32)
    reward[-2] = number % 2 == 0
    return {
        "observation/image_0": [encode_jpeg(picture(number, step)) for step in range(length)],
        "observation/wrist": [encode_png(picture(number + 100, step)) for step in range(length)],
        "observation/state": state,
        "action": action,
        "language_instruction": [f"pick up cube {number % 3}"] * length,
        "reward": reward,
        "is_terminal": np.arange(length) == (length - 1 if number % 2 == 0 else -1),
        "is_first": np.arange(length) == 0,
        "joint": generator.normal(size=(length, 2)),
    }


def picture(number: int, step: int) -> np.ndarray:
    height, width = SIZE
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 200, width).astype(np.uint8)
    image[..., 1] = (37 * number) % 256
    image[..., 2] = np.linspace(255, 55, height).astype(np.uint8)[:, None]
    image[: height // 2, : width // 2, 0] = (number + 30 * step) % 256
    return image


def recognise(root: Path) -> bool:
    return (root / "scripted.json").is_file()


def open_source(root: Path) -> ScriptedSource:
    record = json.loads((root / "scripted.json").read_text())
    return ScriptedSource(root, record["episodes"], tuple(record.get("bad", ())))
