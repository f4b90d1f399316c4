"""The statistics that meta/stats.json and the episode table carry, in LeRobot's names and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from vlm_qsft.data.quantiles import LEROBOT_QUANTILES, exact_quantiles, histogram_quantiles

FeatureStatistics = dict[str, list]
"""Statistic name -> nested lists of numbers, ready for JSON and parquet."""

SAMPLED_PICTURES = 10
"""Pictures of an episode that count in its statistics, evenly spaced: LeRobot samples as well."""


def numeric_statistics(columns: Mapping[str, Shaped[np.ndarray, "frame dim"]]) -> dict[str, FeatureStatistics]:
    """Return exact min, max, mean, std, count and quantiles of every dimension of every feature.

    All features have the same frames; they are computed side by side, which saves most of the time on short episodes.
    """
    numbers = np.concatenate([values.astype(np.float64) for values in columns.values()], axis=1)
    rows = {
        "min": numbers.min(axis=0),
        "max": numbers.max(axis=0),
        "mean": numbers.mean(axis=0),
        "std": numbers.std(axis=0),
        **dict(zip(LEROBOT_QUANTILES, exact_quantiles(numbers, tuple(LEROBOT_QUANTILES.values())), strict=True)),
    }
    statistics: dict[str, FeatureStatistics] = {}
    start = 0
    for key, values in columns.items():
        stop = start + values.shape[1]
        statistics[key] = {name: row[start:stop].tolist() for name, row in rows.items()} | {"count": [len(numbers)]}
        start = stop
    return statistics


def sampled_frames(length: int) -> Int64[np.ndarray, " sampled"]:
    """Return which frames of an episode count in the statistics of its pictures."""
    return np.unique(np.linspace(0, length - 1, min(length, SAMPLED_PICTURES)).round().astype(np.int64))


def picture_histogram(pictures: Sequence[UInt8[np.ndarray, "height width 3"]]) -> Int64[np.ndarray, "3 256"]:
    """Return how often every channel value occurs. Histograms of episodes add up to that of the data set."""
    counts = np.zeros((3, 256), dtype=np.int64)
    for picture in pictures:
        for channel in range(3):
            counts[channel] += np.bincount(picture[..., channel].ravel(), minlength=256)
    return counts


def picture_statistics(counts: Int64[np.ndarray, "3 256"], n_pictures: int) -> FeatureStatistics:
    """Return the statistics of pictures from their histogram: values in [0, 1], shape (3, 1, 1), count of pictures."""
    values, totals = np.arange(256.0), counts.sum(axis=1)
    mean = counts @ values / totals
    std = np.sqrt(np.maximum(counts @ values**2 / totals - mean**2, 0.0))
    quantiles = histogram_quantiles(counts, tuple(LEROBOT_QUANTILES.values()))
    rows = {
        "min": np.array([np.flatnonzero(row)[0] for row in counts]),
        "max": np.array([np.flatnonzero(row)[-1] for row in counts]),
        "mean": mean,
        "std": std,
        **dict(zip(LEROBOT_QUANTILES, quantiles, strict=True)),
    }
    statistics: FeatureStatistics = {name: (row / 255.0).reshape(3, 1, 1).tolist() for name, row in rows.items()}
    return {**statistics, "count": [n_pictures]}
