"""Scripted episodes of the data tests: small, deterministic, with a different picture in every frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from vlm_qsft.data import DatasetSchema, Episode, LabelSettings

SCHEMA = DatasetSchema(
    cameras={"front": (16, 24), "wrist": (8, 8)},
    state_names=("x", "y", "z"),
    action_names=("dx", "gripper"),
    fps=Fraction(5),
    robot_type="scripted",
)
LABELS = LabelSettings(reward_rule="binary01", gamma=0.5, source="script")


def picture(seed: int, frame: int, size: tuple[int, int]) -> np.ndarray:
    """A coloured gradient with a block that depends on episode and frame."""
    height, width = size
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 200, width).astype(np.uint8)
    image[..., 1] = (37 * seed) % 256
    image[..., 2] = (11 * frame) % 256
    image[: height // 2, : width // 2, 0] = (seed + 3 * frame) % 256
    return image


def pictures_of(seed: int, camera: str) -> np.ndarray:
    """All pictures of one camera in episode `seed`: uint8 (frame, height, width, 3)."""
    return np.stack([picture(seed, frame, SCHEMA.cameras[camera]) for frame in range(3 + seed % 4)])


def scripted_episode(seed: int) -> Episode:
    """Episode `seed` has 3 + seed % 4 frames; every second one succeeds."""
    length = 3 + seed % 4
    generator = np.random.default_rng(seed)
    success = seed % 2 == 0
    reward = np.zeros(length, np.float32)
    reward[-1] = success
    return Episode(
        images={camera: pictures_of(seed, camera) for camera in SCHEMA.cameras},
        state=generator.normal(size=(length, 3)).astype(np.float32),
        action=generator.normal(size=(length, 2)).astype(np.float32),
        reward=reward,
        terminated=success,
        truncated=not success,
        success=success,
        instruction=f"pick up the {('red', 'blue', 'green')[seed % 3]} cube",
        attributes={"quality": "expert" if success else "poor", "seed": seed, "noise": 0.25, "wrong_object": False},
    )
