"""The order of the frames: a function of seed and position alone, so that it needs no state to resume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from torch.utils.data import Sampler


@dataclass(frozen=True)
class BatchRequest:
    """Which frames one micro-batch holds.

    Attributes:
        frames: global frame indices.
        shifts: (rows, columns) in pixels by which each sample's pictures move, or None.
        gains: factors on the colour channels of each sample's pictures, or None.
        importance: weights under which the mean over the batch estimates the mean over all frames; None for 1.
    """

    frames: Int64[np.ndarray, " batch"]
    shifts: Int64[np.ndarray, "batch 2"] | None = None
    gains: Float32[np.ndarray, "batch 3"] | None = None
    importance: Float32[np.ndarray, " batch"] | None = None

    @property
    def augments(self) -> bool:
        """Whether the pictures differ from the stored ones."""
        return self.shifts is not None or self.gains is not None


@dataclass(frozen=True)
class Priority:
    """Which frames are drawn more often than others.

    In a data set of mostly failures most labels weigh nothing. A batch drawn in proportion to them learns from as many
    good actions as a batch of filtered SFT does, and the importance weights keep the expected loss as it was.

    Attributes:
        odds: of every frame to draw from, in their order; at least 0, not all 0.
        share: part of every batch that is drawn with these odds, in (0, 1); the rest comes from the permutations.
    """

    odds: Float32[np.ndarray, " frame"]
    share: float


class FrameSampler(Sampler[BatchRequest]):
    """Yields `steps * accumulation` micro-batches: permutation after permutation of the frames, cut into pieces.

    Every draw depends on the seed and on the sample's position in the run only. So a run that skips what it has already
    seen goes on exactly as if it had not been interrupted, and 4 micro-batches of 2 are the same 8 samples, with the
    same shifts, as 1 of 8.
    """

    def __init__(
        self,
        frames: Int64[np.ndarray, " frame"],
        *,
        steps: int,
        batch_size: int,
        accumulation: int,
        seed: int,
        shift_pixels: int = 0,
        colour_jitter: float = 0.0,
        priority: Priority | None = None,
    ) -> None:
        """Plan the run.

        Args:
            frames: the global indices to draw from.
            steps: optimiser steps.
            batch_size: samples of one optimiser step; `accumulation` divides it.
            accumulation: micro-batches of one optimiser step.
            shift_pixels: largest shift of the augmentation; 0 draws none.
            colour_jitter: standard deviation of the factors on the colour channels; 0 draws none.
            priority: frames that are drawn more often; None draws all alike.
        """
        self._frames = frames
        self._steps, self._batch_size, self._accumulation = steps, batch_size, accumulation
        self._shift_pixels, self._colour_jitter, self._seed = shift_pixels, colour_jitter, seed
        self._n_prioritised = 0
        if priority is not None:
            self._n_prioritised = min(batch_size - 1, round(priority.share * batch_size))
            chances = priority.odds.astype(np.float64) / priority.odds.sum(dtype=np.float64)
            self._cumulated = np.cumsum(chances)
            share = self._n_prioritised / batch_size
            self._importance = (1.0 / (share * len(frames) * chances + (1.0 - share))).astype(np.float32)

    def __len__(self) -> int:
        return self._steps * self._accumulation

    def __iter__(self) -> Iterator[BatchRequest]:
        n_frames, n_uniform = len(self._frames), self._batch_size - self._n_prioritised
        epoch, order = -1, np.arange(n_frames)
        for step in range(self._steps):
            positions = np.arange(step * n_uniform, (step + 1) * n_uniform)
            places = np.empty(n_uniform, np.int64)
            for wanted in np.unique(positions // n_frames).tolist():
                if wanted != epoch:
                    epoch, order = wanted, self._permutation(wanted)
                here = positions // n_frames == wanted
                places[here] = order[positions[here] % n_frames]
            if self._n_prioritised:
                places = np.concatenate([places, self._prioritised(step)])
            shifts, gains = self._shifts(step), self._gains(step)
            for piece in np.split(np.arange(self._batch_size), self._accumulation):
                yield BatchRequest(
                    self._frames[places[piece]],
                    None if shifts is None else shifts[piece],
                    None if gains is None else gains[piece],
                    self._importance[places[piece]] if self._n_prioritised else None,
                )

    def _permutation(self, epoch: int) -> Int64[np.ndarray, " frame"]:
        return np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._frames))

    def _prioritised(self, step: int) -> Int64[np.ndarray, " prioritised"]:
        draws = np.random.default_rng([self._seed, 2, step]).random(self._n_prioritised)
        found = np.searchsorted(self._cumulated, draws * self._cumulated[-1], side="right")
        return np.minimum(found, len(self._frames) - 1)

    def _shifts(self, step: int) -> Int64[np.ndarray, "batch 2"] | None:
        if self._shift_pixels == 0:
            return None
        generator = np.random.default_rng([self._seed, 1, step])
        return generator.integers(-self._shift_pixels, self._shift_pixels + 1, (self._batch_size, 2))

    def _gains(self, step: int) -> Float32[np.ndarray, "batch 3"] | None:
        if self._colour_jitter == 0.0:
            return None
        generator = np.random.default_rng([self._seed, 3, step])
        return np.clip(generator.normal(1.0, self._colour_jitter, (self._batch_size, 3)), 0.0, 2.0).astype(np.float32)
