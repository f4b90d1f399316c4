"""From what the networks say about a token to the distribution it is drawn from: one rule for robots and text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.qsft import EXTRACTIONS, in_support, sft

NOT_SAID = -1
"""Stands for a token that is not said in a view of a state."""


class TokenLogProbs(NamedTuple):
    """What the networks say about one token; None where a network is not asked."""

    log_p: Float32[Tensor, "batch bins_and_dummy"] | None
    log_pi: Float32[Tensor, "batch n_bins"] | None

    def of(self, rows: Int64[Tensor, " chosen"]) -> TokenLogProbs:
        """Return what is said in these rows, in their order."""
        return TokenLogProbs(*(part if part is None else part[rows.to(part.device)] for part in self))

    def without(self, tokens: Sequence[tuple[int, int]]) -> TokenLogProbs:
        """Return the same but for these tokens, at least one (row, token), which become impossible to both networks."""
        return TokenLogProbs(*(part if part is None else _without(part, tokens) for part in self))

    def mean_of_views(self, said: Int64[Tensor, "view token"]) -> TokenLogProbs:
        """Return the normalised means over the views of each state, whose rows stand beside each other.

        Args:
            said: the token that is said in a view for each token of the state, or `NOT_SAID`: of such a token the other
                views alone count. The first view says every token; the dummy is the same in all.
        """
        return TokenLogProbs(*(part if part is None else _mean_of_views(part, said) for part in self))


def _mean_of_views(part: Float32[Tensor, "views bins"], said: Int64[Tensor, "view token"]) -> Tensor:
    n_views, n_tokens = said.shape
    dummy = torch.arange(n_tokens, part.shape[-1]).expand(n_views, -1)
    column = torch.cat([said, dummy], 1).to(part.device)
    is_said = column != NOT_SAID
    by_state = part.view(-1, n_views, part.shape[-1])
    aligned = by_state.gather(2, column.clamp(min=0).expand(len(by_state), -1, -1))
    return (torch.where(is_said, aligned, 0.0).sum(1) / is_said.sum(0)).log_softmax(-1)


def _without(part: Tensor, tokens: Sequence[tuple[int, int]]) -> Tensor:
    return part.index_put(torch.tensor(tokens).unbind(1), part.new_tensor(-torch.inf))


def competing(token: TokenLogProbs, settings: PolicySettings) -> Bool[Tensor, "batch n_bins"]:
    """Tell which tokens the policy may draw: those in its support.

    Raises:
        InvalidSetting: a network that the extraction needs was not asked.
    """
    measured = token.log_pi
    if not settings.needs_behavior and token.log_p is not None:
        measured = token.log_p[..., :-1].log_softmax(dim=-1)
    if measured is None:
        raise InvalidSetting(f"The extraction '{settings.extraction}' needs a network that was not asked.")
    return in_support(measured, settings.support)


def next_distribution(token: TokenLogProbs, settings: PolicySettings) -> Float32[Tensor, "batch n_bins"]:
    """Return the log-probabilities of the policy.

    Raises:
        InvalidSetting: a network that the extraction needs was not asked.
        NotFinite: a network says NaN.
    """
    if settings.extraction == "sft":
        if token.log_pi is None:
            raise InvalidSetting("The extraction 'sft' needs the behavior policy.")
        return sft(token.log_pi, temperature=settings.temperature, support=settings.support)
    if token.log_p is None:
        raise InvalidSetting(f"The extraction '{settings.extraction}' needs the likelihood model.")
    return EXTRACTIONS[settings.extraction](
        token.log_p,
        token.log_pi,
        inverse_temperature=settings.inverse_temperature,
        temperature=settings.temperature,
        support=settings.support,
    )
