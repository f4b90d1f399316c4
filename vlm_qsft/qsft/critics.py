"""The rivals that learn a Q-function instead of a likelihood: Monte-Carlo returns, ILQL, token-level CQL.

A critic is the same network with the same rows as p_theta, read otherwise: row a gives Q(s, a) = sigmoid(z_a), the row
of the dummy token gives V(s) = sigmoid(z_d). All returns lie in [0, 1], so a sigmoid loses nothing. Everywhere
`log_values` holds log Q of the bins and, in the last column, log V.

    monte_carlo   BCE(Q(s,a), G)
    ilql          (Q(s,a) - y)^2 + expectile(Q(s,a) - V(s)) + c CE(z, a),   y = r + gamma * mask * V_bar(s')
    cql           (Q(s,a) - y)^2 + c mean_{a' != a} Q(s,a')^2,              y = r + gamma * mask * max_a' Q_bar(s',a')

ILQL: arXiv 2206.11871; CQL on tokens: Q-Transformer, arXiv 2309.10150. Deviations: one Q and not the smaller of two; V
follows the online Q and not its average, which saves a pass of the target network.

The policy of all three is pi ∝ pi_phi exp(inverse_temperature (Q - V)). V is the same for all bins, so this is the
extraction `ratio` of a p_theta = pi_phi * Q, which `likelihood_of_critic` gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from vlm_qsft.qsft.metrics import target_metrics

CriticName = Literal["monte_carlo", "ilql", "cql"]

EXPECTILE = 0.7
"""Of ILQL: above 0.5, V lies nearer to the better ones of the logged actions."""

ILQL_CONSERVATISM = 0.01
CQL_CONSERVATISM = 0.1
"""Weights c above, as small as keeps unlogged actions down; the published ones are 0.01 to 0.5."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Critic:
    """A named critic.

    Attributes:
        name: as in `CRITICS`.
        backup: the backup of likelihoods whose inputs its targets are computed from.
        next_value: value of a state for its targets, from `log_values`.
        loss: of every token, from logits, logged bins and targets.
    """

    name: CriticName
    backup: Literal["monte_carlo", "behavior"]
    next_value: Callable[[Tensor], Tensor]
    loss: Loss


def monte_carlo_loss(
    logits: Float[Tensor, "*axes bins_and_dummy"], action_bins: Int64[Tensor, "*axes"], targets: Float[Tensor, "*axes"]
) -> Float[Tensor, "*axes"]:
    """Return the binary cross-entropy of Q(s, a) with the return, plus that of V(s).

    V is fitted only so that it can be reported: nothing is bootstrapped.
    """
    logged = _logged(logits, action_bins)
    return functional.binary_cross_entropy_with_logits(
        logged, targets, reduction="none"
    ) + functional.binary_cross_entropy_with_logits(logits[..., -1], targets, reduction="none")


def ilql_loss(
    logits: Float[Tensor, "*axes bins_and_dummy"], action_bins: Int64[Tensor, "*axes"], targets: Float[Tensor, "*axes"]
) -> Float[Tensor, "*axes"]:
    """Return the loss of implicit language Q-learning; see the module."""
    q_value, value = _logged(logits, action_bins).sigmoid(), logits[..., -1].sigmoid()
    gap = q_value.detach() - value
    expectile = torch.where(gap > 0.0, EXPECTILE, 1.0 - EXPECTILE) * gap.square()
    log_policy = logits[..., :-1].log_softmax(-1)
    conservative = -log_policy.gather(-1, action_bins[..., None]).squeeze(-1)
    return (q_value - targets).square() + expectile + ILQL_CONSERVATISM * conservative


def cql_loss(
    logits: Float[Tensor, "*axes bins_and_dummy"], action_bins: Int64[Tensor, "*axes"], targets: Float[Tensor, "*axes"]
) -> Float[Tensor, "*axes"]:
    """Return the loss of token-level conservative Q-learning; see the module."""
    q_values = logits[..., :-1].sigmoid()
    logged = q_values.gather(-1, action_bins[..., None]).squeeze(-1)
    others = (q_values.square().sum(-1) - logged.square()) / (q_values.shape[-1] - 1)
    return (logged - targets).square() + CQL_CONSERVATISM * others


def critic_loss(
    critic: Critic,
    logits: Float[Tensor, "batch token bins_and_dummy"],
    action_bins: Int64[Tensor, "batch token"],
    targets: Float[Tensor, "batch token"],
    weights: Float[Tensor, " batch"],
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the mean loss over batch and tokens and the metrics of the targets, both weighted."""
    targets = targets.detach()
    per_token = critic.loss(logits, action_bins, targets)
    return (weights[:, None] * per_token).mean(), target_metrics(targets, weights)


def log_values(logits: Float[Tensor, "*axes bins_and_dummy"]) -> Float[Tensor, "*axes bins_and_dummy"]:
    """Return log Q of every bin and log V."""
    return functional.logsigmoid(logits)


def critic_value(values: Float[Tensor, "*axes bins_and_dummy"]) -> Float[Tensor, "*axes"]:
    """Return V(s), from `log_values`."""
    return values[..., -1].exp()


def largest_q(values: Float[Tensor, "*axes bins_and_dummy"]) -> Float[Tensor, "*axes"]:
    """Return max_a Q(s, a), from `log_values`."""
    return values[..., :-1].amax(-1).exp()


def likelihood_of_critic(
    values: Float[Tensor, "*axes bins_and_dummy"], log_pi: Float[Tensor, "*axes n_bins"]
) -> Float[Tensor, "*axes bins_and_dummy"]:
    """Return the log p_theta that a critic stands for: p(a) = pi_phi(a) Q(s, a), and the dummy has the rest."""
    bins = log_pi + values[..., :-1]
    total = bins.logsumexp(-1, keepdim=True).clamp(max=-torch.finfo(bins.dtype).eps)
    return torch.cat([bins, _log1mexp(total)], -1)


def _logged(logits: Tensor, action_bins: Tensor) -> Tensor:
    return logits[..., :-1].gather(-1, action_bins[..., None]).squeeze(-1)


def _log1mexp(log_share: Tensor) -> Tensor:
    """Return log(1 - exp(x)) for x < 0, by whichever form loses no digits."""
    return torch.where(
        log_share > -math.log(2.0), torch.log(-torch.expm1(log_share)), torch.log1p(-torch.exp(log_share))
    )


CRITICS: dict[str, Critic] = {
    critic.name: critic
    for critic in (
        Critic("monte_carlo", "monte_carlo", critic_value, monte_carlo_loss),
        Critic("ilql", "behavior", critic_value, ilql_loss),
        Critic("cql", "behavior", largest_q, cql_loss),
    )
}
