"""Quantiles are exact, also where the means of episode quantiles are far off."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.data import exact_quantiles
from vlm_qsft.data.statistics import numeric_statistics, picture_histogram, picture_statistics
from vlm_qsft.errors import NotFinite, ShapeMismatch


def test_quantiles_by_hand():
    values = np.array([[3.0], [1.0], [2.0], [5.0], [4.0]])
    np.testing.assert_allclose(exact_quantiles(values, (0.0, 0.25, 0.6, 1.0))[:, 0], [1, 2, 3.4, 5])


def test_quantiles_refuse_nan_and_nothing():
    with pytest.raises(NotFinite):
        exact_quantiles(np.array([[np.nan]]), (0.5,))
    with pytest.raises(ShapeMismatch):
        exact_quantiles(np.zeros((0, 2)), (0.5,))


def test_numeric_statistics_of_two_features_side_by_side():
    statistics = numeric_statistics({"a": np.array([[1.0], [3.0]]), "b": np.array([[True, False], [True, True]])})
    assert statistics["a"]["mean"] == [2.0] and statistics["a"]["std"] == [1.0] and statistics["a"]["count"] == [2]
    assert statistics["b"]["min"] == [1.0, 0.0] and statistics["b"]["q50"] == [1.0, 0.5]


def test_picture_statistics_equal_those_of_the_pixels():
    pictures = np.random.default_rng(0).integers(0, 200, (4, 8, 6, 3), dtype=np.uint8)
    statistics = picture_statistics(picture_histogram(list(pictures)), 4)
    pixels = pictures.reshape(-1, 3) / 255.0
    for name, expected in {
        "mean": pixels.mean(0),
        "std": pixels.std(0),
        "min": pixels.min(0),
        "max": pixels.max(0),
    }.items():
        np.testing.assert_allclose(np.array(statistics[name])[:, 0, 0], expected, atol=1e-12)
    q50 = np.quantile(pixels, 0.5, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(np.array(statistics["q50"])[:, 0, 0], q50, atol=1e-12)
    assert statistics["count"] == [4]
