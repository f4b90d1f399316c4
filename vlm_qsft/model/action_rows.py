"""Action tokens behind a vocabulary: their ids, the rows they add, and the logits these give."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from vlm_qsft.errors import InvalidSetting


def add_action_tokens(tokenizer: PreTrainedTokenizerBase, n_bins: int) -> int:
    """Add the action tokens and, last, the dummy token; return the id of bin 0, so that id - first = bin.

    Raises:
        InvalidSetting: the tokenizer gives them ids that do not follow each other.
    """
    tokens = [*(f"<action_{action_bin}>" for action_bin in range(n_bins)), "<action_dummy>"]
    tokenizer.add_tokens(tokens, special_tokens=True)
    ids = [int(tokenizer.encode(token, add_special_tokens=False)[0]) for token in tokens]
    if ids != list(range(ids[0], ids[0] + n_bins + 1)):
        raise InvalidSetting(f"The tokenizer already has some of the tokens {tokens[0]} .. {tokens[-1]}.")
    return ids[0]


class ActionRows(nn.Module):
    """`n_bins` + 1 further rows of a model's embedding table and of its `lm_head`, the dummy token in the last one.

    They are held beside the tables and not in them: the logits of all other words are never computed, no gradient of
    the size of the vocabulary is made for them, and LoRA can train them while the tables stay frozen. A model that
    ties its two tables ties these rows too. The one number that is no row is a bias of the dummy's logit: with it and
    a zero row the dummy has exactly the same probability in every state (`reset_dummy`).
    """

    dummy_bias: nn.Parameter
    embed_scale: Tensor

    def __init__(self, *, n_bins: int, embedding: nn.Embedding, tied: bool) -> None:
        """Make rows of zeros; `initialise` or a checkpoint fills them."""
        super().__init__()
        self.n_bins = n_bins
        shape = (n_bins + 1, embedding.embedding_dim)
        self.input_rows = nn.Parameter(torch.zeros(shape))
        self.output_rows = None if tied else nn.Parameter(torch.zeros(shape))
        self.dummy_bias = nn.Parameter(torch.zeros(()))
        scale = torch.as_tensor(getattr(embedding, "embed_scale", 1.0), dtype=torch.float32)
        self.register_buffer("embed_scale", scale.clone(), persistent=False)

    @torch.no_grad()
    def initialise(self, embedding: nn.Embedding, lm_head: nn.Linear) -> None:
        """Start every row at the mean of the table it extends, with the table's own spread around it."""
        self.input_rows.copy_(_rows_like(embedding.weight, self.n_bins + 1))
        if self.output_rows is not None:
            self.output_rows.copy_(_rows_like(lm_head.weight, self.n_bins + 1))

    def embed(self, action_bins: Int64[Tensor, "*batch"]) -> Float[Tensor, "*batch hidden"]:
        """Return the input embeddings of action tokens, scaled as the model scales those of its words."""
        return nn.functional.embedding(action_bins, self.input_rows) * self.embed_scale.to(self.input_rows.dtype)

    def logits(self, hidden: Float[Tensor, "*batch hidden"]) -> Float32[Tensor, "*batch bin_or_dummy"]:
        """Return logits over bins and dummy, computed in float32 also under autocast."""
        rows = self.input_rows if self.output_rows is None else self.output_rows
        with torch.autocast(hidden.device.type, enabled=False):
            logits = nn.functional.linear(hidden.float(), rows.float())
            return logits + nn.functional.pad(self.dummy_bias.float()[None], (self.n_bins, 0))

    @torch.no_grad()
    def reset_dummy(self, probability: float) -> None:
        """Give the dummy token this probability everywhere."""
        rows = self.input_rows if self.output_rows is None else self.output_rows
        rows[self.n_bins].zero_()
        self.dummy_bias.fill_(math.log(probability / (1.0 - probability)))


def _rows_like(table: Tensor, n_rows: int) -> Tensor:
    table = table.float()
    spread = (table - table.mean(0)).square().mean().sqrt()
    return table.mean(0) + torch.randn(n_rows, table.shape[1]) * spread
