"""A tiny data set and a tiny checkpoint for the commands to look at."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vlm_qsft.data import DatasetSchema, DatasetWriter, Episode, LabelSettings
from vlm_qsft.model import ModelSettings, StateStatistics, build_scorer, save_checkpoint
from vlm_qsft.tokens import ActionTokenizer

SCHEMA = DatasetSchema(
    cameras={"front": (64, 64)}, state_names=("x", "y"), action_names=("dx", "gripper"), fps=Fraction(5)
)
# One episode that succeeds in its third step, one that is cut off after two.
ACTIONS = (
    np.array([[0.5, 1.0], [-1.0, 1.0], [1.0, -1.0]], np.float32),
    np.array([[0.25, 1.0], [0.75, -1.0]], np.float32),
)


def episode(actions: np.ndarray, *, success: bool, instruction: str) -> Episode:
    frames = len(actions)
    return Episode(
        images={"front": np.full((frames, 64, 64, 3), 7, np.uint8)},
        state=np.zeros((frames, 2), np.float32),
        action=actions,
        reward=np.array([0.0] * (frames - 1) + [float(success)], np.float32),
        terminated=success,
        truncated=not success,
        success=success,
        instruction=instruction,
        attributes={"quality": "expert" if success else "poor"},
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    with DatasetWriter(root, SCHEMA, labels=LabelSettings("binary01", 0.5, "hand")) as writer:
        writer.add_episode(episode(ACTIONS[0], success=True, instruction="pick up the red cube"))
        writer.add_episode(episode(ACTIONS[1], success=False, instruction="pick up the ball"))
        writer.finalize()
    return root


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    tokenizer = ActionTokenizer.fit(
        np.concatenate(ACTIONS),
        action_names=SCHEMA.action_names,
        n_bins=8,
        limits={"dx": (-1, 1)},
        gripper=("gripper",),
    )
    scorer = build_scorer(
        ModelSettings(channels=8, width=16, layers=1),
        SCHEMA,
        tokenizer,
        ("pick up the red cube", "pick up the ball"),
        StateStatistics.from_states(np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)),
    )
    folder = tmp_path / "policy"
    save_checkpoint(
        folder, behavior=scorer, q_model=None, action_tokenizer=tokenizer, schema=SCHEMA, metadata={"steps": 12}
    )
    return folder
