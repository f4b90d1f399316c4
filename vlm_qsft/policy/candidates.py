"""`Candidates`: several actions are drawn for one decision, and the one that is most likely as a whole is taken.

A temperature sharpens token by token, and prefers the token that most good actions begin with, whatever comes of it.
What is compared here are whole actions, by the sum of the log-probabilities that the extraction gives their tokens at
temperature 1: with many candidates the policy takes the mode of the distribution that it draws from.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from vlm_qsft.policy.next_token import TokenLogProbs, next_distribution
from vlm_qsft.policy.settings import PolicySettings


class Candidates:
    """The candidates of a batch of decisions, those of one decision beside each other.

    Attributes:
        rows: of every candidate, the decision that it is of.
    """

    rows: Int64[Tensor, " candidate"]

    def __init__(self, settings: PolicySettings, batch: int) -> None:
        """Begin a batch of decisions, `settings.candidates` of each."""
        self._each = settings.candidates
        self._compared_at = replace(settings, temperature=1.0)
        self._log_likelihood = torch.zeros(batch * self._each)
        self.rows = torch.arange(batch).repeat_interleave(self._each)

    def add(
        self, said: TokenLogProbs, drawn: Int64[Tensor, " candidate"], counts: Bool[Tensor, " candidate"] | None = None
    ) -> None:
        """Count one more token of every candidate.

        Args:
            said: about this token.
            drawn: the token.
            counts: False for a candidate that had ended before; None where all go on.

        Raises:
            NotFinite: a network says NaN.
        """
        log_probs = next_distribution(said, self._compared_at)
        of_drawn = log_probs.gather(1, drawn.to(log_probs.device)[:, None])[:, 0].cpu()
        self._log_likelihood += of_drawn if counts is None else torch.where(counts, of_drawn, 0.0)

    def likeliest(self) -> Int64[Tensor, " decision"]:
        """Return the number of the most likely candidate of every decision; of equal ones the first drawn."""
        best = self._log_likelihood.view(-1, self._each).argmax(1)
        return torch.arange(len(best)) * self._each + best
