"""From a preset's numbers to the settings of each part; every field a preset does not hold keeps its default."""

from __future__ import annotations

from dataclasses import asdict

from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.presets import DemoPreset, PhasePreset
from vlm_qsft.training.settings import TokenSettings, TrainSettings

GRIPPER_DIMENSIONS = ("gripper",)  # of the simulator's actions
EVALUATIONS_PER_PHASE = 10
LEAST_STEPS_BETWEEN = 10  # a checkpoint is synced to the disk, which takes longer than a step of the smoke preset
N_BINS = 64  # 1.6 mm per bin of a move; the small model sees each of 256 bins too rarely
GAMMA = 0.98
"""Discount per control step, of the stored returns and of the Q phase alike."""


def model_settings(preset: DemoPreset) -> ModelSettings:
    """Return the model of a preset, for pictures of the size that is recorded."""
    size = preset.recording.image_size
    return ModelSettings(family="small", image_size=(size, size), **asdict(preset.model))


def token_settings() -> TokenSettings:
    """Return how the simulator's actions become tokens."""
    return TokenSettings(n_bins=N_BINS, gripper=GRIPPER_DIMENSIONS)


def train_settings(phase: PhasePreset, *, seed: int, device: str) -> TrainSettings:
    """Return how a phase of a preset is trained."""
    every = max(LEAST_STEPS_BETWEEN, phase.steps // EVALUATIONS_PER_PHASE)
    return TrainSettings(**asdict(phase), eval_every=every, save_every=every, gamma=GAMMA, seed=seed, device=device)
