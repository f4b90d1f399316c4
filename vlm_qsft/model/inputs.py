"""What a scorer is conditioned on, as one batch of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional


@runtime_checkable
class ScorerInputs(Protocol):
    """What any scorer is conditioned on; each family has its own."""

    def __len__(self) -> int:
        """Return the number of decisions."""
        ...

    def to(self, device: torch.device | str) -> ScorerInputs:
        """Return the same batch on `device`."""
        ...


@dataclass(frozen=True)
class ModelInputs:
    """A batch of observations and instructions.

    Attributes:
        images: RGB, uint8, resized to the scorer's image size; cameras in the order of `ScorerSpec.cameras`.
        state: proprioception in physical units; the scorer normalises it with the statistics it holds.
        text: the instruction as token ids of the scorer's own vocabulary, padded on the right.
        text_mask: True where `text` holds a token and not padding.
    """

    images: UInt8[Tensor, "batch camera height width 3"]
    state: Float32[Tensor, "batch state_dim"]
    text: Int64[Tensor, "batch text_len"]
    text_mask: Bool[Tensor, "batch text_len"]

    def __len__(self) -> int:
        """Return the batch size."""
        return len(self.images)

    def to(self, device: torch.device | str) -> ModelInputs:
        """Return the same batch on `device`."""
        return ModelInputs(
            images=self.images.to(device, non_blocking=True),
            state=self.state.to(device, non_blocking=True),
            text=self.text.to(device, non_blocking=True),
            text_mask=self.text_mask.to(device, non_blocking=True),
        )

    def select(self, indices: Int64[Tensor, " chosen"] | Bool[Tensor, " batch"]) -> ModelInputs:
        """Return the rows `indices`, in their order."""
        return ModelInputs(self.images[indices], self.state[indices], self.text[indices], self.text_mask[indices])

    @staticmethod
    def concat(batches: Sequence[ModelInputs]) -> ModelInputs:
        """Return the batches one after the other; shorter texts are padded on the right."""
        length = max(batch.text.shape[1] for batch in batches)
        return ModelInputs(
            images=torch.cat([batch.images for batch in batches]),
            state=torch.cat([batch.state for batch in batches]),
            text=torch.cat([functional.pad(batch.text, (0, length - batch.text.shape[1])) for batch in batches]),
            text_mask=torch.cat(
                [functional.pad(batch.text_mask, (0, length - batch.text_mask.shape[1])) for batch in batches]
            ),
        )
