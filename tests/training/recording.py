"""A tiny data set on disk, and a program that trains on it and is killed half-way."""

from __future__ import annotations

import os
import signal
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from vlm_qsft.data import DatasetSchema, DatasetWriter, Episode, LabelSettings, binary01_reward
from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.training.settings import TrainSettings

SCHEMA = DatasetSchema(
    cameras={"front": (16, 16), "wrist": (16, 16)},
    state_names=("x", "y"),
    action_names=("dx", "dy", "gripper"),
    fps=Fraction(5),
)
MODEL = ModelSettings(channels=8, width=16, layers=1, image_size=(16, 16))
SETTINGS = TrainSettings(
    steps=16, batch_size=8, learning_rate=3e-3, eval_every=4, save_every=4, gamma=0.9, augmentation=1,
    colour_jitter=0.1, validation_fraction=0.25, seed=5, device="cpu",
)  # fmt: skip


def episode(index: int, *, success: bool) -> Episode:
    generator = np.random.default_rng(index)
    length = 3 + index % 4
    action = generator.normal(size=(length, 3)).astype(np.float32)
    action[:, 2] = np.where(np.arange(length) > 1, 1.0, -1.0)
    return Episode(
        images={name: generator.integers(0, 256, (length, 16, 16, 3), dtype=np.uint8) for name in SCHEMA.cameras},
        state=generator.normal(size=(length, 2)).astype(np.float32),
        action=action,
        reward=binary01_reward(length, success=success),
        terminated=success,
        truncated=not success,
        success=success,
        instruction=("pick the red cube", "pick the blue ball")[index % 2],
    )


def record(root: Path, *, successes: tuple[bool, ...] = (True, False, True, True, False, True, True, False)) -> Path:
    with DatasetWriter(root, SCHEMA, labels=LabelSettings("binary01", 0.9, "made up")) as writer:
        for index, success in enumerate(successes):
            writer.add_episode(episode(index, success=success))
        writer.finalize()
    return root


SETTINGS_Q = TrainSettings.from_json({**SETTINGS.to_json(), "backup": "max", "target_update_rate": 0.1})


def main(phase: str, root: str, out: str) -> None:
    """Train a phase; SIGKILL ends this process at step 10, between the checkpoints of steps 8 and 12."""
    from vlm_qsft.training import train_behavior, train_q

    def listener(what: str, complete: int, total: int) -> None:
        if (what, complete) == (f"{phase} phase", 10):
            os.kill(os.getpid(), signal.SIGKILL)

    if phase == "behavior":
        train_behavior(Path(root), MODEL, SETTINGS, Path(out) / "behavior", progress=listener)
    else:
        train_q(Path(root), Path(out) / "behavior/policy", SETTINGS_Q, Path(out) / "q", progress=listener)


if __name__ == "__main__":
    main(*sys.argv[1:])
