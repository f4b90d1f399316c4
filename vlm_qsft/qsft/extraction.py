"""Policy extraction: from p_theta and pi_phi to the distribution that the next action bin is drawn from.

All are functions of the policy's settings, never of training:

    ratio        pi(a|s) ∝ pi_phi(a|s)^(1/temperature) * exp(inverse_temperature * Q(s,a)),   Q = min(1, p_theta/pi_phi)
    likelihood   pi(a|s) ∝ pi_phi(a|s)^(1/temperature) * exp(inverse_temperature * p_theta(a|s))         as printed
    power        pi(a|s) ∝ pi_phi(a|s)^(1/temperature) * (p_theta/pi_phi)^inverse_temperature
    single       pi(a|s) ∝ p_theta(a|s)^(1/temperature)                                     needs p_theta alone

over the bins in support. Temperature 0 is greedy: the most likely bin of the same formula at temperature 1 (its limit
would forget Q). With inverse_temperature 0 the first three are `sft`, exactly; `power` with both at 1 is `single` where
every bin competes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vlm_qsft.errors import InvalidSetting, NotFinite
from vlm_qsft.qsft.values import in_support, log_likelihood_ratio

ExtractionName = Literal["ratio", "likelihood", "power", "single"]

LEAST_LOG_Q = math.log(1e-30)
"""What is worth less is worth this: where every bin in support is worth nothing, all are alike."""


def sft(log_pi: Float[Tensor, "*axes n_bins"], *, temperature: float, support: float) -> Float[Tensor, "*axes n_bins"]:
    """Return log-probabilities of plain SFT sampling: pi_phi at a temperature over its support.

    Raises:
        InvalidSetting: a setting lies outside its range.
        NotFinite: an input holds NaN.
    """
    return _distribution(log_pi, advantage=None, temperature=temperature, support=support)


def ratio(
    log_p: Float[Tensor, "*axes bins_and_dummy"],
    log_pi: Float[Tensor, "*axes n_bins"],
    *,
    inverse_temperature: float,
    temperature: float,
    support: float,
) -> Float[Tensor, "*axes n_bins"]:
    """Return log-probabilities of the behavior policy tilted by Q = min(1, p_theta / pi_phi), as the theory suggests.

    Raises:
        ShapeMismatch: the two do not have the same bins.
        InvalidSetting, NotFinite: see `sft`.
    """
    q_values = log_likelihood_ratio(log_p, log_pi, clip=True).exp()
    return _tilted(log_pi, q_values, inverse_temperature, temperature=temperature, support=support)


def likelihood(
    log_p: Float[Tensor, "*axes bins_and_dummy"],
    log_pi: Float[Tensor, "*axes n_bins"],
    *,
    inverse_temperature: float,
    temperature: float,
    support: float,
) -> Float[Tensor, "*axes n_bins"]:
    """Return log-probabilities of the behavior policy tilted by p_theta itself, as printed.

    p_theta = pi_phi * Q is small wherever pi_phi is, so this prefers what was common over what was good.

    Raises:
        ShapeMismatch, InvalidSetting, NotFinite: see `ratio`.
    """
    log_likelihood_ratio(log_p, log_pi, clip=True)  # same shapes or the same error
    return _tilted(log_pi, log_p[..., :-1].exp(), inverse_temperature, temperature=temperature, support=support)


def power(
    log_p: Float[Tensor, "*axes bins_and_dummy"],
    log_pi: Float[Tensor, "*axes n_bins"],
    *,
    inverse_temperature: float,
    temperature: float,
    support: float,
) -> Float[Tensor, "*axes n_bins"]:
    """Return log-probabilities of the behavior policy times a power of Q = p_theta / pi_phi.

    What counts is by which factor one action is better than another, so Q is not capped: a factor common to all bins
    changes nothing. Ours: the policy that is weighted by its returns as often as the power says.

    Raises:
        ShapeMismatch, InvalidSetting, NotFinite: see `ratio`.
    """
    log_q = log_likelihood_ratio(log_p, log_pi, clip=False).clamp(min=LEAST_LOG_Q)
    return _tilted(log_pi, log_q, inverse_temperature, temperature=temperature, support=support)


def single(
    log_p: Float[Tensor, "*axes bins_and_dummy"],
    log_pi: Float[Tensor, "*axes n_bins"] | None,
    *,
    inverse_temperature: float,
    temperature: float,
    support: float,
) -> Float[Tensor, "*axes n_bins"]:
    """Return log-probabilities of p_theta alone, renormalised over its bins: pi_phi * Q / V.

    The dummy token is dropped; support is measured on the renormalised p_theta. `log_pi` and `inverse_temperature`
    are not used: one network has no separate Q.

    Raises:
        InvalidSetting, NotFinite: see `sft`.
    """
    del log_pi
    _check_inverse_temperature(inverse_temperature)
    log_bins = log_p[..., :-1].log_softmax(dim=-1)
    return _distribution(log_bins, advantage=None, temperature=temperature, support=support)


@dataclass(frozen=True)
class Extraction:
    """A named extraction, called as `(log_p, log_pi, *, inverse_temperature, temperature, support)`.

    Attributes:
        name: as in `EXTRACTIONS`.
        needs_behavior: pi_phi is read; False means `log_pi` may be None and pi_phi need not be evaluated.
        function: the extraction itself.
    """

    name: ExtractionName
    needs_behavior: bool
    function: Callable[..., Tensor]

    def __call__(
        self,
        log_p: Float[Tensor, "*axes bins_and_dummy"],
        log_pi: Float[Tensor, "*axes n_bins"] | None,
        *,
        inverse_temperature: float,
        temperature: float,
        support: float,
    ) -> Float[Tensor, "*axes n_bins"]:
        """Return log-probabilities over the bins.

        Raises:
            InvalidSetting: a setting lies outside its range, or pi_phi is needed and missing.
            ShapeMismatch, NotFinite: see the functions.
        """
        if self.needs_behavior and log_pi is None:
            raise InvalidSetting(f"The extraction '{self.name}' needs the behavior policy; only 'single' does not.")
        return self.function(
            log_p, log_pi, inverse_temperature=inverse_temperature, temperature=temperature, support=support
        )


EXTRACTIONS: dict[str, Extraction] = {
    "ratio": Extraction("ratio", True, ratio),
    "likelihood": Extraction("likelihood", True, likelihood),
    "power": Extraction("power", True, power),
    "single": Extraction("single", False, single),
}


def _tilted(
    log_pi: Tensor, scores: Tensor, inverse_temperature: float, *, temperature: float, support: float
) -> Tensor:
    _check_inverse_temperature(inverse_temperature)
    advantage = None if inverse_temperature == 0.0 else inverse_temperature * scores
    return _distribution(log_pi, advantage=advantage, temperature=temperature, support=support)


def _distribution(log_pi: Tensor, *, advantage: Tensor | None, temperature: float, support: float) -> Tensor:
    """Return log_softmax(log_pi / temperature + advantage) over the support; one-hot where temperature is 0."""
    if not (0.0 <= temperature < math.inf):
        raise InvalidSetting(f"temperature is {temperature}; expected a finite number >= 0 (0 is greedy).")
    greedy = temperature == 0.0
    # Measured from the most likely bin, so that a small temperature cannot push every bin to -inf.
    logits = log_pi - log_pi.amax(dim=-1, keepdim=True)
    logits = logits if greedy else logits / temperature
    logits = logits if advantage is None else logits + advantage
    # argmax would answer NaN with a bin, and a bin is a move. (No bin possible at all: -inf - -inf is NaN too.)
    if torch.isnan(logits).any():
        raise NotFinite("Log-probabilities hold NaN, or no bin has a probability; the action cannot be chosen.")
    logits = logits.masked_fill(~in_support(log_pi, support), -math.inf)
    if greedy:
        chosen = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -math.inf).scatter(-1, chosen, 0.0)
    return logits.log_softmax(dim=-1)


def _check_inverse_temperature(inverse_temperature: float) -> None:
    if not (0.0 <= inverse_temperature < math.inf):
        raise InvalidSetting(f"inverse_temperature is {inverse_temperature}; expected a finite number >= 0 (0 is SFT).")
