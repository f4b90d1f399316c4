"""What the two networks together say about a state: likelihood ratios, support, and values read from them.

Everywhere `log_p` holds log p_theta over the action bins plus the dummy token in the last column, and `log_pi` holds
log pi_phi over the bins alone; both are normalised. A bin that pi_phi gives probability zero has ratio zero.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vlm_qsft.errors import InvalidSetting, ShapeMismatch


def log_likelihood_ratio(
    log_p: Float[Tensor, "*axes bins_and_dummy"], log_pi: Float[Tensor, "*axes n_bins"], *, clip: bool
) -> Float[Tensor, "*axes n_bins"]:
    """Return log Q(s, a) of every bin, the likelihood ratio.

        log Q(s, a) = log p_theta(a | s) - log pi_phi(a | s)            (Section 4, arXiv 2411.05193)

    Args:
        clip: cap the ratio at 1, the largest possible return. Learned networks exceed it where pi_phi is small.

    Raises:
        ShapeMismatch: the two do not have the same bins.
    """
    n_bins = log_pi.shape[-1]
    if log_p.shape[-1] != n_bins + 1 or log_p.shape[:-1] != log_pi.shape[:-1]:
        raise ShapeMismatch(
            f"log p_theta has shape {tuple(log_p.shape)} beside log pi_phi {tuple(log_pi.shape)}; "
            f"expected {(*log_pi.shape[:-1], n_bins + 1)}: the same bins and one column more for the dummy token."
        )
    log_ratio = log_p[..., :-1] - log_pi
    # -inf - -inf is NaN: no behavior ever chose this bin, so nothing says that it is worth anything.
    log_ratio = log_ratio.masked_fill(torch.isneginf(log_pi), -math.inf)
    return log_ratio.clamp(max=0.0) if clip else log_ratio


def in_support(log_pi: Float[Tensor, "*axes n_bins"], support: float) -> Bool[Tensor, "*axes n_bins"]:
    """Tell which bins compete: those with pi_phi(a | s) >= support / n_bins, and always the most likely one.

    Args:
        support: floor relative to the uniform distribution; 0 lets every bin compete. Above 1 where most of the bins
            are never chosen, as most words of a vocabulary are no moves.

    Raises:
        InvalidSetting: `support` is negative or no number.
    """
    if not 0.0 <= support < math.inf:
        raise InvalidSetting(f"support is {support}; expected a finite number >= 0, relative to the uniform one.")
    most_likely = log_pi == log_pi.amax(dim=-1, keepdim=True)
    if support == 0.0:
        return torch.ones_like(most_likely)
    return (log_pi >= math.log(support) - math.log(log_pi.shape[-1])) | most_likely


def value_from_dummy(log_p: Float[Tensor, "*axes bins_and_dummy"]) -> Float[Tensor, "*axes"]:
    """Return the value of the behavior policy, for a p_theta trained with the `dummy` remainder.

        V(s) = sum_a pi_beta(a | s) Q(s, a) = sum_a p_theta(a | s) = 1 - p_theta(dummy | s)

    Neither a ratio nor a maximum: the noise of pi_phi does not enter.
    """
    return -torch.expm1(log_p[..., -1])


def value_from_overlap(
    log_p: Float[Tensor, "*axes bins_and_dummy"], log_pi: Float[Tensor, "*axes n_bins"]
) -> Float[Tensor, "*axes"]:
    """Return the value of the behavior policy, for a p_theta trained with the `uniform` remainder.

        V(s) ~ sum_a pi_phi(a | s) min(1, p_theta(a | s) / pi_phi(a | s)) = sum_a min(p_theta, pi_phi)

    With the uniform remainder every V gives a p_theta that sums to one over the bins, so V itself is lost; what
    can be had is this upper bound, tight when pi_phi lives on few of many bins.
    """
    return log_likelihood_ratio(log_p, log_pi, clip=True).add(log_pi).exp().sum(dim=-1)


def max_ratio(
    log_p: Float[Tensor, "*axes bins_and_dummy"],
    log_pi: Float[Tensor, "*axes n_bins"],
    *,
    support: float,
    clip: bool,
) -> Float[Tensor, "*axes"]:
    """Return the largest likelihood ratio among the bins in support, the state value of the paper's backup.

        max_a' [ p_theta(a' | s') / pi_phi(a' | s') ]   over  pi_phi(a' | s') >= support / n_bins

    The paper has no support and no clip (`support=0, clip=False`); the largest of many noisy ratios is then far
    above one.

    Raises:
        InvalidSetting, ShapeMismatch: see `in_support`, `log_likelihood_ratio`.
    """
    log_ratio = log_likelihood_ratio(log_p, log_pi, clip=clip)
    return log_ratio.masked_fill(~in_support(log_pi, support), -math.inf).amax(dim=-1).exp()
