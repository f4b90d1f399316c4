from __future__ import annotations

import math

import pytest
import torch

from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.qsft import calibration, ratio_metrics, target_metrics


def test_saturated_targets_are_counted():
    metrics = target_metrics(torch.tensor([[1.0, 0.9995], [0.5, 0.0]]))
    assert metrics["share_saturated"].item() == 0.5
    assert metrics["mean_target"].item() == pytest.approx(2.4995 / 4)


def test_ratio_metrics_of_logged_tokens_by_hand():
    log_pi = torch.tensor([[[0.5, 0.5]], [[0.2, 0.8]], [[0.5, 0.5]]]).log()
    log_p = torch.tensor([[[0.1, 0.3, 0.6]], [[0.4, 0.2, 0.4]], [[0.25, 0.25, 0.5]]]).log()
    metrics = ratio_metrics(log_p, log_pi, torch.tensor([[0], [0], [1]]))  # ratios 0.2, 2.0, 0.5
    assert metrics["ratio_q50"].item() == pytest.approx(0.5)
    assert metrics["ratio_q95"].item() == pytest.approx(0.5 + 0.9 * 1.5)
    assert metrics["logged_action_value"].item() == pytest.approx((0.2 + 1.0 + 0.5) / 3)
    assert metrics["share_capped"].item() == pytest.approx(1 / 3)
    assert all(value.ndim == 0 for value in metrics.values())


def test_calibration_by_hand():
    result = calibration(torch.tensor([0.1, 0.2, 0.9, 1.0]), torch.tensor([0.0, 0.5, 1.0, 1.0]), n_bins=2)
    assert result.count.tolist() == [2, 2]
    assert result.predicted.tolist() == pytest.approx([0.15, 0.95])
    assert result.realised.tolist() == pytest.approx([0.25, 1.0])
    assert result.error == pytest.approx(0.5 * 0.10 + 0.5 * 0.05)
    # deviations (-.45, -.35, .35, .45) and (-.625, -.125, .375, .375)
    assert result.correlation == pytest.approx(0.625 / (0.65 * 0.6875) ** 0.5)


def test_empty_calibration_bins_are_nan_and_do_not_enter_the_error():
    result = calibration(torch.tensor([0.05, 0.95]), torch.tensor([0.05, 0.95]), n_bins=10)
    assert math.isnan(result.predicted[5].item())
    assert result.error == pytest.approx(0.0, abs=1e-7)


def test_constant_returns_have_no_correlation():
    assert math.isnan(calibration(torch.tensor([0.2, 0.4]), torch.tensor([0.0, 0.0])).correlation)


def test_calibration_refuses_an_empty_set():
    with pytest.raises(ShapeMismatch):
        calibration(torch.zeros(0), torch.zeros(0))
