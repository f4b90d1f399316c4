"""Train and validation episodes. Frames of one episode are never on both sides: they resemble each other too much."""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Int64

from vlm_qsft.errors import InvalidSetting


def split_episodes(
    n_episodes: int, fraction: float, seed: int
) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " validation"]]:
    """Return (train, validation) episode indices, each ascending.

    An episode's rank is a hash of (seed, index); the lowest `fraction` of ranks validates. Whether one episode ranks
    before another does not depend on how many there are, and not on NumPy's generator.

    Args:
        fraction: share of episodes for validation, 0 <= fraction < 1; above 0 it is at least one episode.
    Raises:
        InvalidSetting: a fraction outside this range, or no episode left to train on.
    """
    if not 0.0 <= fraction < 1.0:
        raise InvalidSetting(f"The validation fraction is {fraction}; expected 0 <= fraction < 1.")
    n_validation = max(1, round(n_episodes * fraction)) if fraction > 0.0 else 0
    if n_episodes - n_validation < 1:
        raise InvalidSetting(f"{n_episodes} episodes cannot be split: none would be left to train on.")
    ranks = [hashlib.sha256(f"{seed}/{index}".encode()).digest() for index in range(n_episodes)]
    order = sorted(range(n_episodes), key=ranks.__getitem__)
    validation = np.sort(np.array(order[:n_validation], dtype=np.int64))
    return np.setdiff1d(np.arange(n_episodes, dtype=np.int64), validation), validation
