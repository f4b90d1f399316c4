"""What a scorer of text is conditioned on: rows of tokens, and the places in them where a token is to be chosen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

PADDING = -1
"""The context of what fills up a row."""


@dataclass(frozen=True)
class TextInputs:
    """A batch of states, each a place in a row; many states share a row, and a row is read once.

    Attributes:
        token_ids: the rows; any token where a row is filled up.
        context: a number of its own for every context in a row; `PADDING` where the row is filled up.
        position: of each token in its context, from 0.
        row: of each state.
        place: of each state, the last token that is seen in it.
    """

    token_ids: Int64[Tensor, "row place"]
    context: Int64[Tensor, "row place"]
    position: Int64[Tensor, "row place"]
    row: Int64[Tensor, " batch"]
    place: Int64[Tensor, " batch"]

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self.row)

    def to(self, device: torch.device | str) -> TextInputs:
        """Return the same batch on `device`."""
        return TextInputs(
            token_ids=self.token_ids.to(device, non_blocking=True),
            context=self.context.to(device, non_blocking=True),
            position=self.position.to(device, non_blocking=True),
            row=self.row.to(device, non_blocking=True),
            place=self.place.to(device, non_blocking=True),
        )


def visible(context: Int64[Tensor, "*batch place"]) -> Bool[Tensor, "*batch place place"]:
    """Return which places each place sees: the earlier ones of its context, and itself.

    Padding sees itself alone: a row of an attention mask without any place gives no number.
    """
    length = context.shape[-1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=context.device).tril()
    same = context[..., :, None] == context[..., None, :]
    alone = torch.eye(length, dtype=torch.bool, device=context.device)
    return torch.where((context == PADDING)[..., :, None], alone, same & earlier)
