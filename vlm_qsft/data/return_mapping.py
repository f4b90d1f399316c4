"""ReturnMapping: returns of any scale onto [0, 1] and back, with the rewards that belong to the mapped returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from vlm_qsft.errors import InvalidSetting

ZERO_TOLERANCE = 1e-12
"""A mapped reward nearer to 0 is 0: what two double-precision factors leave of an exact zero."""


@dataclass(frozen=True)
class ReturnMapping:
    """An affine map of raw returns G onto mapped ones, G' = offset + scale * G, with scale above 0.

    The raw returns obey G_t = r_t + gamma * G_{t+1} on a step that goes on and G_t = r_t on a step that ends (after it
    nothing is bootstrapped). The mapped ones obey the same two equations with the rewards

        a step that goes on:   r'_t = scale * r_t + (1 - gamma) * offset
        a step that ends:      r'_t = scale * r_t + offset

    because offset + scale * (r_t + gamma * G_{t+1}) = scale * r_t + offset + gamma * (G'_{t+1} - offset). Hence every
    backup works on mapped rewards as it would on raw ones. Where a recording was cut off, the mapped return counts 0
    afterwards: the raw return -offset / scale, the worst there is.
    """

    scale: float
    offset: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and np.isfinite(self.offset)) or self.scale <= 0.0:
            raise InvalidSetting(
                f"Returns cannot be mapped by {self.offset} + {self.scale} * return: scale must be > 0."
            )

    def returns(self, raw: Float[np.ndarray, " frame"]) -> Float64[np.ndarray, " frame"]:
        """Return the mapped returns of raw ones."""
        return self.offset + self.scale * raw.astype(np.float64)

    def raw_returns(self, mapped: Float[np.ndarray, " frame"]) -> Float64[np.ndarray, " frame"]:
        """Return the raw returns of mapped ones: the inverse of `returns`."""
        return (mapped.astype(np.float64) - self.offset) / self.scale

    def rewards(
        self, raw: Float[np.ndarray, " frame"], ends: Bool[np.ndarray, " frame"], gamma: float
    ) -> Float64[np.ndarray, " frame"]:
        """Return the rewards of the mapped returns.

        Args:
            ends: True where nothing is bootstrapped after the step.
        """
        mapped = self.scale * raw.astype(np.float64) + np.where(ends, self.offset, (1.0 - gamma) * self.offset)
        return np.where(np.abs(mapped) < ZERO_TOLERANCE, 0.0, mapped)

    def raw_rewards(
        self, mapped: Float[np.ndarray, " frame"], ends: Bool[np.ndarray, " frame"], gamma: float
    ) -> Float64[np.ndarray, " frame"]:
        """Return the raw rewards of mapped ones: the inverse of `rewards`."""
        shift = np.where(ends, self.offset, (1.0 - gamma) * self.offset)
        return (mapped.astype(np.float64) - shift) / self.scale


IDENTITY = ReturnMapping(scale=1.0, offset=0.0)
