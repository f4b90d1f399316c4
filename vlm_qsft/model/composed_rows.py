"""Vocabularies whose larger tokens are made of parts: a row is the sum of the rows of its parts, each at its place.

    row(token) = sum_i v(part_i, i) / sqrt(n)          a token of n > 1 parts
    row(token) = v(token)                              a token of one part

Only the `v` are trained. A network that knows what a letter at the second place means in one word knows it in every
word, and learns less by heart what stood beside which word. Two tokens of the same parts would be the same token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

Parts = Sequence[Sequence[str]]
"""Of every token, what it consists of."""

ALONE = -1
"""The place of a part that is a whole token: what it means there need not be what it means inside another."""


class ComposedRows(nn.Module):
    """One row per token, see the module."""

    part: Tensor
    begin: Tensor
    share: Tensor

    def __init__(self, parts: Parts, width: int, *, spread: float) -> None:
        """Draw the rows of the parts.

        Args:
            parts: at least one of every token; all tokens differ in theirs.
            spread: standard deviation of a row's numbers.
        """
        super().__init__()
        numbers: dict[tuple[str, int], int] = {}
        part, begin, share = [], [], []
        for of_token in parts:
            begin.append(len(part))
            for place, name in enumerate(of_token):
                key = (name, place if len(of_token) > 1 else ALONE)
                part.append(numbers.setdefault(key, len(numbers)))
                share.append(1.0 / math.sqrt(len(of_token)))
        self.register_buffer("part", torch.tensor(part), persistent=False)
        self.register_buffer("begin", torch.tensor(begin), persistent=False)
        self.register_buffer("share", torch.tensor(share), persistent=False)
        self.part_rows = nn.Parameter(torch.randn(len(numbers), width) * spread)

    @property
    def weight(self) -> Float[Tensor, "token width"]:
        """Return the rows of all tokens, under autocast too in the precision of the parts: a table is not computed."""
        with torch.autocast(self.part_rows.device.type, enabled=False):
            return functional.embedding_bag(
                self.part, self.part_rows, self.begin, mode="sum", per_sample_weights=self.share
            )


class ComposedEmbedding(ComposedRows):
    """From tokens to their rows, as `nn.Embedding`."""

    def forward(self, token_ids: Int64[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Return the row of every token."""
        return functional.embedding(token_ids, self.weight)


class ComposedHead(ComposedRows):
    """From hidden states to the logits of all tokens, as `nn.Linear` without a bias."""

    def forward(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch token"]:
        """Return the inner product with every row."""
        return functional.linear(hidden, self.weight)


def rows_of_parts(model: nn.Module) -> set[str]:
    """Return the names of the rows that tokens of a model are sums of; of tokens of one part too, in the same table.

    Weight decay leaves them alone: tokens that differ in one part are told apart by that part alone.
    """
    rows = {id(module.part_rows) for module in model.modules() if isinstance(module, ComposedRows)}
    return {name for name, weights in model.named_parameters() if id(weights) in rows}
