"""Mean and spread of the state over a data set, and the normalisation that every scorer does with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from vlm_qsft.errors import NotFinite, ShapeMismatch

# A dimension that spreads less than this (metres, radians, newtons) is noise of the sensor: it is not blown up.
SMALLEST_SPREAD = 1e-3
# Standard deviations. Beyond them a number only says "far outside of the data", which it does as well when clipped.
LARGEST_NORMALIZED = 10.0


@dataclass(frozen=True)
class StateStatistics:
    """Mean and standard deviation of every state dimension, physical units."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ShapeMismatch: mean and std differ in length.
            NotFinite: a number is NaN, infinite, or a negative spread.
        """
        if len(self.mean) != len(self.std):
            raise ShapeMismatch(f"State statistics have {len(self.mean)} means but {len(self.std)} deviations.")
        if not np.isfinite([*self.mean, *self.std]).all() or any(std < 0 for std in self.std):
            raise NotFinite(f"State statistics must be finite: mean={self.mean}, std={self.std}.")

    @classmethod
    def from_states(cls, states: Float[np.ndarray, "frame state_dim"]) -> StateStatistics:
        """Measure them, in float64.

        Raises:
            NotFinite: a state holds NaN or infinity.
        """
        exact = np.asarray(states, np.float64)
        return cls(tuple(exact.mean(0).tolist()), tuple(exact.std(0).tolist()))

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as JSON values."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StateStatistics:
        """Rebuild statistics from `to_json`."""
        return cls(tuple(document["mean"]), tuple(document["std"]))


class StateNormalizer(nn.Module):
    """(state - mean) / std, clipped; the statistics are buffers and travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: StateStatistics) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(statistics.mean, dtype=torch.float32))
        spread = [max(std, SMALLEST_SPREAD) for std in statistics.std]
        self.register_buffer("std", torch.tensor(spread, dtype=torch.float32))

    def forward(self, state: Float32[Tensor, "batch state_dim"]) -> Float32[Tensor, "batch state_dim"]:
        """Return the state in standard deviations from its mean."""
        return ((state.float() - self.mean) / self.std).clamp(-LARGEST_NORMALIZED, LARGEST_NORMALIZED)
