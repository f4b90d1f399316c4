"""An untrained checkpoint of the simulated robot, small enough for tests; it values every state at one half."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from qsft_sim.environment import ACTION_NAMES, STATE_NAMES
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.model import ModelSettings, StateStatistics, build_scorer, save_checkpoint
from vlm_qsft.tokens import ActionTokenizer

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("cube", "ball", "cylinder")
INSTRUCTIONS = [f"pick up the {colour} {shape}" for colour in COLOURS for shape in SHAPES]


def write_checkpoint(folder: Path, *, with_instructions: bool = True) -> Path:
    schema = DatasetSchema(
        cameras=dict.fromkeys(("front", "wrist"), (16, 16)),
        state_names=STATE_NAMES,
        action_names=ACTION_NAMES[5],
        fps=Fraction(5),
    )
    actions = np.random.default_rng(0).uniform(-0.2, 0.2, (200, 5))
    tokenizer = ActionTokenizer.fit(actions, action_names=schema.action_names, n_bins=8)
    settings = ModelSettings(channels=8, width=16, layers=1, image_size=(16, 16))
    statistics = StateStatistics((0.0,) * len(STATE_NAMES), (1.0,) * len(STATE_NAMES))
    torch.manual_seed(0)
    behavior, q_model = (build_scorer(settings, schema, tokenizer, INSTRUCTIONS, statistics) for _ in range(2))
    q_model.reset_dummy(0.5)  # pyright: ignore[reportAttributeAccessIssue] (of every likelihood model)
    save_checkpoint(
        folder,
        behavior=behavior,
        q_model=q_model,
        action_tokenizer=tokenizer,
        schema=schema,
        metadata={"instructions": INSTRUCTIONS} if with_instructions else {},
    )
    return folder
