"""Exact quantiles. Estimates are not good enough here: the 1 % and 99 % quantile are the range of the action tokens."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from vlm_qsft.errors import NotFinite, ShapeMismatch

LEROBOT_QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
"""The quantiles that meta/stats.json names."""


def exact_quantiles(values: np.ndarray, probabilities: tuple[float, ...]) -> Float64[np.ndarray, "probability dim"]:
    """Return the quantiles of every dimension of (frame, dim), interpolated linearly between neighbours.

    Raises:
        ShapeMismatch: not (frame, dim), or no frame.
        NotFinite: NaN or infinity.
    """
    if values.ndim != 2 or values.shape[0] == 0:
        raise ShapeMismatch(f"Quantiles need (frames, dimensions) with at least one frame; got {values.shape}.")
    if not np.isfinite(values).all():
        raise NotFinite(f"Quantiles of {int((~np.isfinite(values)).sum())} numbers that are NaN or infinite.")
    return np.quantile(values.astype(np.float64), probabilities, axis=0)


def histogram_quantiles(
    counts: Int64[np.ndarray, "channel 256"], probabilities: tuple[float, ...]
) -> Float64[np.ndarray, "probability channel"]:
    """Return the quantiles of 8-bit values from their histogram: the smallest value that reaches the share."""
    cumulative = np.cumsum(counts, axis=1)
    needed = np.ceil(np.multiply.outer(probabilities, cumulative[:, -1])).astype(np.int64)
    result = [
        [np.searchsorted(cumulative[channel], max(1, needed[row, channel])) for channel in range(len(counts))]
        for row in range(len(probabilities))
    ]
    return np.array(result, dtype=np.float64)
