"""From logits over bins and the dummy token to log-probabilities, always in float32.

The dummy logit is *centred*: it is measured from the log-sum-exp of the bins,

    log p(d)   = logsigmoid(z_d)
    log p(a)   = logsigmoid(-z_d) + log_softmax(z)_a

which is the softmax over (z_1 .. z_n, z_d + logsumexp(z)): the same family of distributions as the paper's plain
softmax. It differs in two ways that matter: p(d), and with it the value 1 - p(d), can be set exactly in every state
by one bias, and moving the value leaves the distribution over the bins alone.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional


def join_dummy(
    bin_logits: Float[Tensor, "*batch n_bins"], dummy_logit: Float[Tensor, "*batch"]
) -> Float32[Tensor, "*batch bin_or_dummy"]:
    """Return normalised log-probabilities over the bins and, in the last column, the dummy token."""
    dummy_logit = dummy_logit.float().unsqueeze(-1)
    bins = functional.logsigmoid(-dummy_logit) + bin_logits.float().log_softmax(-1)
    return torch.cat([bins, functional.logsigmoid(dummy_logit)], -1)


def renormalise_bins(log_probs: Float32[Tensor, "*batch bin_or_dummy"]) -> Float32[Tensor, "*batch n_bins"]:
    """Return the log-probabilities of the bins given that the token is not the dummy: pi_phi, and `single`."""
    return log_probs[..., :-1].log_softmax(-1)


def split_dummy(logits: Float[Tensor, "*batch bin_or_dummy"]) -> Float32[Tensor, "*batch bin_or_dummy"]:
    """Return log-probabilities of logits whose last column is the dummy token's."""
    return join_dummy(logits[..., :-1], logits[..., -1])
