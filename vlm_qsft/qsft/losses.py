"""The two losses, each the mean over batch and tokens: `behavior_loss` fits pi_phi, `q_loss` fits p_theta.

Both divide by the number of rows whatever the weights are, so that the mean over micro-batches equals the loss of the
whole batch. Both are cross-entropies of log-probabilities that are already normalised: no head, no regression.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vlm_qsft.errors import ShapeMismatch, UnknownName
from vlm_qsft.qsft.metrics import target_metrics
from vlm_qsft.qsft.remainder import REMAINDERS, Remainder


def behavior_loss(
    log_pi: Float[Tensor, "batch token n_bins"],
    action_bins: Int64[Tensor, "batch token"],
    weights: Float[Tensor, " batch"],
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the weighted negative log-likelihood of the logged tokens.

        loss = - mean_{batch, token} weights * log pi_phi(a | s)

    Args:
        log_pi: log pi_phi over the bins alone, normalised.
        weights: 1 for all rows is SFT; 1 for rows of successful episodes and 0 for the rest is filtered SFT.

    Returns:
        The loss and the metrics `nll` (weighted mean per token, nats; what early stopping looks at) and `accuracy`.

    Raises:
        ShapeMismatch: the shapes do not belong together.
    """
    _check_shapes(log_pi.shape[:2], action_bins=action_bins.shape)
    _check_shapes(log_pi.shape[:1], weights=weights.shape)
    nll = -log_pi.gather(-1, action_bins[..., None]).squeeze(-1)
    loss = (weights[:, None] * nll).mean()
    with torch.no_grad():
        share = weights / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
        hit = (log_pi.argmax(dim=-1) == action_bins).to(nll.dtype)
        metrics = {"nll": share @ nll.mean(dim=1), "accuracy": share @ hit.mean(dim=1)}
    return loss, metrics


def q_loss(
    log_p: Float[Tensor, "batch token bins_and_dummy"],
    action_bins: Int64[Tensor, "batch token"],
    targets: Float[Tensor, "batch token"],
    *,
    remainder: Remainder,
    weights: Float[Tensor, " batch"] | None = None,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the weighted cross-entropy whose optimum is p_theta = pi_beta * Q.

        dummy:    loss = - [ w log p_theta(a|s) + (1 - w) log p_theta(dummy|s) ]                    (Section 4.1)
        uniform:  loss = - [ w log p_theta(a|s) + sum_{a' != a} (1 - w)/(n_bins - 1) log p_theta(a'|s) ]   (Eq. 3)

    With `uniform` the dummy token gets no label and its probability goes to zero; with `uniform` and the same target
    everywhere this is label smoothing.

    Args:
        log_p: log p_theta over bins and dummy (last column), normalised.
        targets: label weights w in [0, 1]; no gradient flows through them.
        weights: importance weights of rows that were not drawn uniformly; None for 1.

    Returns:
        The loss and the metrics `mean_target`, `share_saturated` and `likelihood` (mean of p_theta(a | s)), all of
        them weighted.

    Raises:
        ShapeMismatch: the shapes do not belong together.
        UnknownName: no such remainder.
    """
    _check_shapes(log_p.shape[:2], action_bins=action_bins.shape, targets=targets.shape)
    if weights is None:
        weights = torch.ones_like(log_p[:, 0, 0])
    _check_shapes(log_p.shape[:1], weights=weights.shape)
    targets = targets.detach()
    log_bins = log_p[..., :-1]  # the dummy index is no action: gathering it fails instead of training it
    log_action = log_bins.gather(-1, action_bins[..., None]).squeeze(-1)
    if remainder == "dummy":
        log_remainder = log_p[..., -1]
    elif remainder == "uniform":
        others = torch.ones_like(log_bins, dtype=torch.bool).scatter(-1, action_bins[..., None], False)
        log_remainder = torch.where(others, log_bins, 0.0).sum(dim=-1) / (log_bins.shape[-1] - 1)
    else:
        raise UnknownName("remainder", remainder, REMAINDERS)
    per_token = _weighted(targets, log_action) + _weighted(1.0 - targets, log_remainder)
    loss = -(weights[:, None] * per_token).mean()
    with torch.no_grad():
        metrics = target_metrics(targets, weights)
        share = weights / weights.sum()
        metrics["likelihood"] = share @ log_action.exp().mean(dim=1)
    return loss, metrics


def _weighted(weight: Tensor, log_probability: Tensor) -> Tensor:
    """Return weight * log_probability with 0 * -inf = 0."""
    return torch.where(weight == 0.0, 0.0, weight * log_probability)


def _check_shapes(expected: torch.Size, **shapes: torch.Size) -> None:
    for name, shape in shapes.items():
        if shape != expected:
            raise ShapeMismatch(f"{name} has shape {tuple(shape)}; expected {tuple(expected)}.")
