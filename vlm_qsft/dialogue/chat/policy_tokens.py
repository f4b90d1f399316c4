"""PolicyTokens: the policy of a text checkpoint says one token after the other, with its Q-value."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vlm_qsft.dialogue.checkpoint import TextCheckpoint
from vlm_qsft.policy.next_token import TokenLogProbs, next_distribution
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.policy.text_reader import ReaderState
from vlm_qsft.qsft import log_likelihood_ratio


class PolicyTokens:
    """Draws tokens from the policy; see `spoken.TokenSource`."""

    def __init__(self, checkpoint: TextCheckpoint, settings: PolicySettings, *, seed: int, explain: bool) -> None:
        """Build the source.

        Args:
            checkpoint: with the networks that the settings need.
            settings: of the extraction.
            seed: of every draw.
            explain: give Q-values also where the extraction needs one network and the checkpoint has both.

        Raises:
            InvalidSetting: the extraction needs a network that the checkpoint lacks.
        """
        checkpoint.reader(settings)  # what the settings lack is an error of theirs
        asks_both = explain and checkpoint.behavior is not None and checkpoint.q_model is not None
        reader_settings = PolicySettings("ratio") if asks_both else settings
        self._reader = checkpoint.reader(reader_settings)
        self._settings = settings
        self._generator = torch.Generator().manual_seed(seed)
        self._state: ReaderState | None = None
        self._unread: list[int] = []

    def begin(self, prompt: Sequence[int]) -> None:
        """Begin an answer to a prompt, at least one token."""
        self._state, self._unread = self._reader.begin(1), list(prompt)

    @torch.inference_mode()
    def next(self) -> tuple[int, float]:
        """Return the next token and its Q-value; NaN where one of the networks is not asked."""
        assert self._state is not None, "begin(prompt) comes before next()"
        token_ids = torch.tensor([self._unread])
        said = self._reader.read(self._state, token_ids, torch.ones_like(token_ids, dtype=torch.bool))
        probabilities = next_distribution(said, self._settings).exp()
        token = int(torch.multinomial(probabilities.cpu(), 1, generator=self._generator))
        self._unread = [token]
        return token, _q_value(said, token)


def _q_value(said: TokenLogProbs, token: int) -> float:
    log_p, log_pi = said
    if log_p is None or log_pi is None:
        return math.nan
    ratio: Tensor = log_likelihood_ratio(log_p, log_pi, clip=True)
    return float(ratio[0, token].exp())
