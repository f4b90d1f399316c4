"""Everything before the action tokens: head with pictures, tail with the instruction, state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Prefix:
    """The embedded prefix.

    Attributes:
        embeddings: input of the first decoder layer.
        seen: which places hold a token and not padding.
        positions: rotary positions, one row per axis.
        deeper: see `ImageFeatures`, the pictures of an example one after the other.
    """

    embeddings: Float[Tensor, "batch place hidden"]
    seen: Bool[Tensor, "batch place"]
    positions: Int64[Tensor, "axis batch place"]
    deeper: tuple[Float[Tensor, "batch image_place hidden"], ...]

    def mask(self, *, both_ways: bool, steps: int = 0) -> Bool[Tensor, "batch query query"]:
        """Return which places each place of the prefix, and of the action tokens after it, may see.

        Args:
            both_ways: whether the places of the prefix see each other in both directions.
            steps: action tokens after the prefix; they see what is before them.
        """
        length = self.seen.shape[1]
        order = torch.ones(length + steps, length + steps, dtype=torch.bool, device=self.seen.device).tril()
        if both_ways:
            order[:length, :length] = True
        return order & functional.pad(self.seen, (0, steps), value=True)[:, None]
