"""Layers that run two networks of one architecture at once.

Row 0 of every batch belongs to the first network, row 1 to the second.
At batch size one a small network spends its time on calling operations, not in them; two networks in one call cost
little more than one.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class FusedLinear(nn.Module):
    """Two `nn.Linear`, one batched matrix product."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, first: nn.Linear, second: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", torch.stack([first.weight, second.weight]).transpose(1, 2).contiguous())
        has_bias = first.bias is not None
        self.register_buffer("bias", torch.stack([first.bias, second.bias])[:, None] if has_bias else None)

    def forward(self, rows: Float[Tensor, "2 *axes inputs"]) -> Float[Tensor, "2 *axes outputs"]:
        """Return each row through its own network's layer."""
        flat = rows if rows.ndim == 3 else rows.reshape(2, -1, rows.shape[-1])
        product = torch.bmm(flat, self.weight) if self.bias is None else torch.baddbmm(self.bias, flat, self.weight)
        return product if rows.ndim == 3 else product.view(*rows.shape[:-1], product.shape[-1])


class FusedConv2d(nn.Module):
    """Two `nn.Conv2d`, one grouped convolution."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        """Fuse two layers of equal shape, stride and padding, without groups or dilation."""
        super().__init__()
        self.stride, self.padding = first.stride, first.padding
        self.register_buffer("weight", torch.cat([first.weight, second.weight]))
        has_bias = first.bias is not None and second.bias is not None
        self.register_buffer("bias", torch.cat([first.bias, second.bias]) if has_bias else None)  # type: ignore[list-item]

    def forward(
        self, maps: Float[Tensor, "2 channels height width"]
    ) -> Float[Tensor, "2 outputs new_height new_width"]:
        """Return each row through its own network's layer."""
        wide = maps.reshape(1, -1, *maps.shape[2:])
        convolved = F.conv2d(wide, self.weight, self.bias, self.stride, self.padding, groups=2)
        return convolved.view(2, -1, *convolved.shape[2:])


class FusedLayerNorm(nn.Module):
    """Two `nn.LayerNorm`."""

    weight: Tensor
    bias: Tensor

    def __init__(self, first: nn.LayerNorm, second: nn.LayerNorm) -> None:
        super().__init__()
        self.shape, self.eps = first.normalized_shape, first.eps
        self.register_buffer("weight", torch.stack([first.weight, second.weight])[:, None])
        self.register_buffer("bias", torch.stack([first.bias, second.bias])[:, None])

    def forward(self, rows: Float[Tensor, "2 *tokens width"]) -> Float[Tensor, "2 *tokens width"]:
        """Return each row, of one vector or of several, normalised, scaled and shifted by its own network's layer."""
        normalized = F.layer_norm(rows, self.shape, eps=self.eps)
        if rows.ndim == 2:
            return torch.addcmul(self.bias[:, 0], normalized, self.weight[:, 0])
        return torch.addcmul(self.bias, normalized, self.weight)


class FusedEmbedding(nn.Module):
    """Two `nn.Embedding`, one table."""

    table: Tensor
    offsets: Tensor

    def __init__(self, first: nn.Embedding, second: nn.Embedding) -> None:
        super().__init__()
        self.register_buffer("table", torch.cat([first.weight, second.weight]))
        self.register_buffer("offsets", torch.tensor([0, first.num_embeddings], device=first.weight.device))

    def forward(self, ids: Int[Tensor, "2 *axes"]) -> Float[Tensor, "2 *axes width"]:
        """Return each row's embeddings from its own network's table."""
        return F.embedding(ids + self.offsets.view(2, *([1] * (ids.ndim - 1))), self.table)
