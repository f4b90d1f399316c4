"""A tiny checkpoint in memory, and observations that fit it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.model import Checkpoint, ModelSettings, StateStatistics, build_scorer
from vlm_qsft.tokens import ActionTokenizer
from vlm_qsft.types import Observation

INSTRUCTION = "pick up the red cube"
INSTRUCTIONS = (INSTRUCTION, "move the red cube near the green ball")
N_BINS = 8
SCHEMA = DatasetSchema(
    cameras={"front": (24, 32), "wrist": (16, 16)},
    state_names=("x", "y", "z"),
    action_names=("dx", "dy"),
    fps=Fraction(5),
)


def tiny_scorer(tokenizer: ActionTokenizer, *, seed: int):
    """Return a small model whose rows are far from uniform, as after training."""
    torch.manual_seed(seed)
    settings = ModelSettings(channels=8, width=32, layers=2, image_size=(16, 16))
    statistics = StateStatistics((0.0, 1.0, 2.0), (1.0, 0.5, 2.0))
    scorer = build_scorer(settings, SCHEMA, tokenizer, INSTRUCTIONS, statistics).eval()
    with torch.no_grad():
        scorer.decoder.rows.weight.mul_(6.0)  # type: ignore[union-attr,operator]
    return scorer


@pytest.fixture(scope="session")
def checkpoint() -> Callable[..., Checkpoint]:
    """Return a function that builds a checkpoint with the wished networks."""

    def make(*, behavior: bool = True, q_model: bool = True, remainder: str = "dummy") -> Checkpoint:
        actions = np.random.default_rng(0).uniform(-1.0, 1.0, (100, 2))
        tokenizer = ActionTokenizer.fit(actions, action_names=SCHEMA.action_names, n_bins=N_BINS, chunk=2)
        return Checkpoint(
            folder=Path("runs/tiny/policy"),
            behavior=tiny_scorer(tokenizer, seed=1) if behavior else None,
            q_model=tiny_scorer(tokenizer, seed=2) if q_model else None,
            action_tokenizer=tokenizer,
            schema=SCHEMA,
            metadata={"train": {"remainder": remainder}, "instructions": sorted(INSTRUCTIONS)},
            identity="0" * 64,
        )

    return make


@pytest.fixture(scope="session")
def observe() -> Callable[..., Observation]:
    """Return a function from a seed to an observation of random pictures at the camera's own size."""

    def make(seed: int = 0) -> Observation:
        generator = np.random.default_rng(seed)
        images = {name: generator.integers(0, 256, (*size, 3), dtype=np.uint8) for name, size in SCHEMA.cameras.items()}
        return Observation(images, generator.normal(size=3).astype(np.float32))

    return make
