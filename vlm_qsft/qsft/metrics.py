"""What training and evaluation log about targets, likelihood ratios and values: 0-d tensors, no gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.qsft.values import log_likelihood_ratio

SATURATED_FROM = 0.999
"""A target from here on cannot tell its action from a perfect one."""

RATIO_QUANTILES = (0.05, 0.5, 0.95)


def target_metrics(
    targets: Float[Tensor, "batch *axes"], weights: Float[Tensor, " batch"] | None = None
) -> dict[str, Tensor]:
    """Return `mean_target` and `share_saturated`, the share of targets at 1.

    With the importance weights of a prioritised batch both estimate what a uniformly drawn batch would show.

    The last step of a success counts as saturated too, so the share is never below that of such steps; a share that
    climbs during training is a backup that feeds on its own noise.
    """
    per_row = targets.detach().reshape(len(targets), -1)
    weights = torch.ones_like(per_row[:, 0]) if weights is None else weights
    share = weights / weights.sum()
    return {
        "mean_target": share @ per_row.mean(dim=1),
        "share_saturated": share @ (per_row >= SATURATED_FROM).to(per_row.dtype).mean(dim=1),
    }


def ratio_metrics(
    log_p: Float[Tensor, "batch token bins_and_dummy"],
    log_pi: Float[Tensor, "batch token n_bins"],
    action_bins: Int64[Tensor, "batch token"],
    weights: Float[Tensor, " batch"] | None = None,
) -> dict[str, Tensor]:
    """Return how the likelihood ratios of the logged tokens lie.

    With the importance weights of a prioritised batch the means are weighted; the quantiles are those of the batch.

    Returns:
        `logged_action_value`: mean of min(1, p/pi) over the logged tokens, the learned value of what was done;
        `ratio_q05`, `ratio_q50`, `ratio_q95`: quantiles of the ratio before it is capped;
        `share_capped`: share of ratios above 1, which no return can reach: the noise of the two networks.
    """
    log_ratio = log_likelihood_ratio(log_p.detach(), log_pi.detach(), clip=False)
    ratio = log_ratio.gather(-1, action_bins[..., None]).squeeze(-1).exp()
    weights = torch.ones_like(ratio[:, 0]) if weights is None else weights
    share = weights / weights.sum()
    metrics = {
        "logged_action_value": share @ ratio.clamp(max=1.0).mean(dim=1),
        "share_capped": share @ (ratio > 1.0).to(ratio.dtype).mean(dim=1),
    }
    quantiles = torch.quantile(ratio.flatten(), torch.tensor(RATIO_QUANTILES, dtype=ratio.dtype, device=ratio.device))
    for share, quantile in zip(RATIO_QUANTILES, quantiles, strict=True):
        metrics[f"ratio_q{round(100 * share):02d}"] = quantile
    return metrics


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram: do states valued v return v?

    Attributes:
        predicted: mean predicted value of each bin; NaN where the bin is empty.
        realised: mean realised return of each bin; NaN where the bin is empty.
        count: states in each bin.
        error: expected calibration error, the count-weighted mean of |predicted - realised|.
        correlation: Pearson correlation of value and return; NaN where either is constant.
    """

    predicted: Float[Tensor, " bin"]
    realised: Float[Tensor, " bin"]
    count: Int64[Tensor, " bin"]
    error: float
    correlation: float


def calibration(values: Float[Tensor, " frame"], returns: Float[Tensor, " frame"], *, n_bins: int = 10) -> Calibration:
    """Compare predicted values with realised returns in `n_bins` bins of equal width over [0, 1].

    Raises:
        ShapeMismatch: the two are not of the same length, or empty.
    """
    if values.shape != returns.shape or values.numel() == 0:
        raise ShapeMismatch(
            f"values have shape {tuple(values.shape)}, returns {tuple(returns.shape)}; expected one of each per frame."
        )
    values, returns = values.detach().double(), returns.detach().double()
    index = (values * n_bins).long().clamp(0, n_bins - 1)
    count = torch.bincount(index, minlength=n_bins)
    predicted = torch.bincount(index, weights=values, minlength=n_bins) / count
    realised = torch.bincount(index, weights=returns, minlength=n_bins) / count
    gap = torch.where(count > 0, (predicted - realised).abs() * count, 0.0)
    pair = torch.stack([values - values.mean(), returns - returns.mean()])
    norms = pair.norm(dim=1)
    return Calibration(
        predicted=predicted.float(),
        realised=realised.float(),
        count=count,
        error=(gap.sum() / len(values)).item(),
        correlation=((pair[0] @ pair[1]) / (norms[0] * norms[1])).item(),
    )
