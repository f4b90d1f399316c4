"""Seeds of scenes: recording, tuning and evaluation never share one, and a new task moves no existing scene."""

from __future__ import annotations

import zlib

import numpy as np

RECORDING = 0
TUNING = 1
EVALUATION = 2

# Purposes of a random stream within an episode, so that a demonstrator's noise is not the scene's.
_SCENE, _POLICY, _QUALITY = 0, 1, 2


def scene_seed(base: int, task: str, episode: int, *, seed: int = 0) -> int:
    """Return the seed of a scene, a non-negative integer below 2^63.

    Args:
        base: `RECORDING`, `TUNING` or `EVALUATION`.
        task: name of the task; its CRC-32 enters, so the order in which tasks are listed does not.
        episode: number of the episode, from 0.
        seed: another one gives other scenes of the same base: a second recording.
    """
    return _seed(base, task, episode, _SCENE, seed)


def policy_seed(base: int, task: str, episode: int, *, seed: int = 0) -> int:
    """Return the seed of everything a policy draws in an episode; the same for every policy under comparison."""
    return _seed(base, task, episode, _POLICY, seed)


def quality_seed(base: int, task: str, episode: int, *, seed: int = 0) -> int:
    """Return the seed from which the quality of an episode's demonstrator is drawn."""
    return _seed(base, task, episode, _QUALITY, seed)


def _seed(base: int, task: str, episode: int, purpose: int, seed: int) -> int:
    sequence = np.random.SeedSequence([base, zlib.crc32(task.encode()), episode, purpose, seed])
    # Data sets store seeds as int64.
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
