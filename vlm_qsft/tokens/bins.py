"""Edges and centers of action bins: how one dimension of an action is cut into `n_bins` tokens.

`n_bins` bins have `n_bins + 1` edges and `n_bins` centers, in physical units.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

RANGE_QUANTILES = (0.01, 0.99)
"""A dimension's range without given limits: outliers beyond the exact 1 % and 99 % quantile are clipped."""


def uniform_edges(low: float, high: float, n_bins: int) -> Float64[np.ndarray, " n_bins+1"]:
    """Return edges of equally wide bins from `low` to `high`."""
    return np.linspace(low, high, n_bins + 1)


def quantile_edges(
    values: Float64[np.ndarray, " frame"], low: float, high: float, n_bins: int
) -> Float64[np.ndarray, " n_bins+1"]:
    """Return edges between which the values inside [low, high] are equally frequent.

    A value that is very frequent (a joint at rest) yields equal neighbouring edges, that is bins of width zero that
    stand for exactly this value; `bin_of` chooses the first of them.
    """
    inside = values[(values >= low) & (values <= high)]
    if inside.size == 0:
        return uniform_edges(low, high, n_bins)
    edges = np.quantile(inside, np.linspace(0.0, 1.0, n_bins + 1))
    edges[0], edges[-1] = low, high
    return edges


def gripper_edges(low: float, high: float, n_bins: int) -> Float64[np.ndarray, " n_bins+1"]:
    """Return edges of equally wide bins whose first center is `low` and whose last center is `high`.

    A gripper is commanded at its ends: fully closed must decode to fully closed, not to half a bin less.
    """
    half = (high - low) / (n_bins - 1) / 2.0
    return np.linspace(low - half, high + half, n_bins + 1)


def midpoints(edges: Float64[np.ndarray, " n_bins+1"]) -> Float64[np.ndarray, " n_bins"]:
    """Return the middle of every bin."""
    return (edges[:-1] + edges[1:]) / 2.0


def bin_of(values: Float64[np.ndarray, "..."], edges: Float64[np.ndarray, " n_bins+1"]) -> Int64[np.ndarray, "..."]:
    """Return the bin of every value: bin b holds edges[b] <= value < edges[b+1], the last bin also its upper edge.

    Values beyond the ends fall into the first or last bin. A value on which two or more inner edges coincide falls
    into the first bin of width zero there.
    """
    inner = edges[1:-1]
    right = np.searchsorted(inner, values, side="right")
    left = np.searchsorted(inner, values, side="left")
    return np.where(right - left >= 2, left + 1, right).astype(np.int64)
