"""`TextReader`: pi_phi and p_theta read the same conversations token after token, keys and values of both kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.action_logits import renormalise_bins, split_dummy
from vlm_qsft.model.text_scorer import TextMemory, TextScorer
from vlm_qsft.policy.next_token import TokenLogProbs
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.qsft.critics import likelihood_of_critic, log_values


@dataclass
class ReaderState:
    """What each network that is asked keeps of the conversations; None for one that is not asked."""

    behavior: TextMemory | None
    q_model: TextMemory | None

    def select(self, rows: Int64[Tensor, " chosen"]) -> None:
        """Keep these conversations alone, in their order."""
        for memory in (self.behavior, self.q_model):
            if memory is not None:
                memory.select(rows)


class TextReader:
    """Asks the networks that the settings need, and no other."""

    def __init__(
        self,
        behavior: TextScorer | None,
        q_model: TextScorer | None,
        settings: PolicySettings,
        *,
        is_critic: bool = False,
    ) -> None:
        """Choose the networks.

        Args:
            is_critic: `q_model` is a critic (`qsft.critics`), and stands for the p_theta that its Q gives with pi_phi.

        Raises:
            InvalidSetting: the extraction needs a network that is not there.
        """
        if is_critic and not settings.needs_behavior:
            raise InvalidSetting(f"The extraction '{settings.extraction}' reads p_theta alone; a critic has none.")
        self._is_critic = is_critic
        for name, is_needed, scorer in (
            ("behavior policy", settings.needs_behavior, behavior),
            ("likelihood model", settings.needs_q_model, q_model),
        ):
            if is_needed and scorer is None:
                raise InvalidSetting(f"The extraction '{settings.extraction}' needs a {name}; the checkpoint has none.")
        self._behavior = behavior if settings.needs_behavior else None
        self._q_model = q_model if settings.needs_q_model else None

    @property
    def device(self) -> torch.device:
        """Return where the networks are."""
        return next(scorer.dummy.weight.device for scorer in (self._behavior, self._q_model) if scorer is not None)

    def begin(self, batch: int) -> ReaderState:
        """Return the state of conversations of which nothing was read."""
        return ReaderState(
            None if self._behavior is None else self._behavior.begin(batch),
            None if self._q_model is None else self._q_model.begin(batch),
        )

    @torch.inference_mode()
    def read(
        self, state: ReaderState, token_ids: Int64[Tensor, "batch token"], is_token: Bool[Tensor, "batch token"]
    ) -> TokenLogProbs:
        """Read further tokens, from any device, and say something about the next one; see `TextScorer.read`."""
        token_ids, is_token = token_ids.to(self.device), is_token.to(self.device)
        log_pi = log_p = None
        if self._behavior is not None and state.behavior is not None:
            log_pi = renormalise_bins(split_dummy(self._behavior.read(state.behavior, token_ids, is_token)))
        if self._q_model is not None and state.q_model is not None:
            logits = self._q_model.read(state.q_model, token_ids, is_token)
            if self._is_critic and log_pi is not None:
                log_p = likelihood_of_critic(log_values(logits), log_pi)
            else:
                log_p = split_dummy(logits)
        return TokenLogProbs(log_p, log_pi)


def padded(chunks: Sequence[Sequence[int]]) -> tuple[Int64[Tensor, "batch token"], Bool[Tensor, "batch token"]]:
    """Return token ids of different lengths as one batch, and which of them are tokens: what `read` takes."""
    token_ids = torch.zeros(len(chunks), max(map(len, chunks)), dtype=torch.int64)
    is_token = torch.zeros_like(token_ids, dtype=torch.bool)
    for row, chunk in enumerate(chunks):
        token_ids[row, : len(chunk)] = torch.tensor(chunk)
        is_token[row, : len(chunk)] = True
    return token_ids, is_token
