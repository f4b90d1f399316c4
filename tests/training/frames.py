"""A few episodes made in memory, small enough that a training step takes milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vlm_qsft.data.returns import episode_returns
from vlm_qsft.model.robot_scorer import RobotScorer, ScorerSpec
from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.model.small import SmallVLM
from vlm_qsft.model.state_statistics import StateStatistics
from vlm_qsft.model.word_tokenizer import WordTokenizer
from vlm_qsft.training.dataset import FrameSource
from vlm_qsft.training.frame_table import FrameTable
from vlm_qsft.training.settings import TrainSettings

LENGTHS = (5, 3, 6, 4, 5, 2, 4, 6)
SUCCESSES = (True, False, True, True, False, True, False, False)
N_BINS, N_TOKENS, STATE_DIM = 8, 3, 2
GAMMA = 0.9
CPU = torch.device("cpu")

SETTINGS = TrainSettings(
    steps=12, batch_size=8, learning_rate=1e-2, eval_every=4, save_every=4, gamma=GAMMA, seed=3, device="cpu"
)


@dataclass(frozen=True)
class ArrayPictures:
    images: np.ndarray

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return self.images[frames]


def small_scorer(seed: int = 0) -> SmallVLM:
    torch.manual_seed(seed)
    spec = ScorerSpec(
        n_bins=N_BINS, n_tokens=N_TOKENS, cameras=("front", "wrist"), image_size=(16, 16), state_dim=STATE_DIM,
        family="small",
    )  # fmt: skip
    settings = ModelSettings(channels=8, width=16, layers=1)
    words = WordTokenizer.fit(["pick the red cube", "pick the blue ball"])
    return SmallVLM(spec, settings, words, StateStatistics((0.0,) * STATE_DIM, (1.0,) * STATE_DIM))


def frame_table(seed: int = 0) -> FrameTable:
    generator = np.random.default_rng(seed)
    n_frames = sum(LENGTHS)
    stop = np.cumsum(LENGTHS)
    last = stop - 1
    reward = np.zeros(n_frames, np.float32)
    reward[last[np.array(SUCCESSES)]] = 1.0
    terminated = np.zeros(n_frames, bool)
    terminated[last[np.array(SUCCESSES)]] = True
    episode = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    return FrameTable(
        state=generator.normal(size=(n_frames, STATE_DIM)).astype(np.float32),
        action_bins=generator.integers(0, N_BINS, (n_frames, N_TOKENS)).astype(np.uint8),
        chunk=1,
        n_clipped=0,
        instruction=episode % 2,
        instructions=("pick the red cube", "pick the blue ball"),
        episode=episode,
        stop=stop[episode],
        episode_success=np.array(SUCCESSES),
        reward=reward,
        terminated=terminated,
        returns=np.concatenate([episode_returns(part, GAMMA) for part in np.split(reward, stop[:-1])]),
        recorded_as=np.arange(len(LENGTHS)),
    )


def frame_source(scorer: RobotScorer, table: FrameTable | None = None) -> FrameSource:
    table = table or frame_table()
    pictures = np.random.default_rng(7).integers(0, 256, (len(table), 2, 16, 16, 3), dtype=np.uint8)
    text, text_mask = scorer.encode_instructions(list(table.instructions))
    return FrameSource(table, ArrayPictures(pictures), text, text_mask)
