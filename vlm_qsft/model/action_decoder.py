"""The action tokens of the small model: a small causal decoder over the tokens chosen so far.

    x_i = (W features) * scale_i + shift_i + E_{i-1}[bin_{i-1}]           causal layers, then one row per bin

Only scale, shift and E belong to one token, so a chunk of many control steps costs tables and no further layers. One
MLP head per token over all earlier embeddings learns as well, but grows with the square of the number of tokens; a
running sum of embeddings in the place of attention predicts the later tokens worse.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING_WIDTH = 32
N_HEADS = 4

Memory = tuple[Tensor, Tensor]
"""Keys and values of one layer, each "batch head token head_width"."""


class CausalLayer(nn.Module):
    """Pre-norm self-attention and feed-forward layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 2 * width)
        self.outer = nn.Linear(2 * width, width)

    def forward(
        self, hidden: Float[Tensor, "batch token width"], memory: Memory | None
    ) -> tuple[Float[Tensor, "batch token width"], Memory]:
        """Return hidden states and the memory with these tokens; with a memory there is one token, seeing all."""
        batch, tokens, width = hidden.shape
        parts = self.attention(self.attention_norm(hidden)).view(batch, tokens, 3, N_HEADS, width // N_HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        if memory is not None:
            key, value = torch.cat([memory[0], key], 2), torch.cat([memory[1], value], 2)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=memory is None)
        hidden = hidden + self.attended(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return hidden + self.outer(F.gelu(self.inner(self.norm(hidden)))), (key, value)


@dataclass
class DecoderMemory:
    """What one decode keeps: the projected features, and keys and values of every layer (empty before token 0)."""

    features: Float[Tensor, "batch decoder_width"]
    layers: list[Memory] = field(default_factory=list)

    def select(self, rows: Int64[Tensor, " chosen"]) -> None:
        """Keep these rows alone, in their order."""
        self.features = self.features[rows]
        self.layers = [(key[rows], value[rows]) for key, value in self.layers]


class ActionDecoder(nn.Module):
    """From fused features and earlier bins to logits over the bins and the dummy token."""

    offsets: Tensor

    def __init__(self, *, n_tokens: int, n_bins: int, feature_width: int, layers: int) -> None:
        super().__init__()
        width = feature_width // 2
        self.entry = nn.Linear(feature_width, width)
        self.scale = nn.Parameter(torch.ones(n_tokens, width))
        self.shift = nn.Parameter(torch.randn(n_tokens, width) * 0.1)
        self.embedding = nn.Embedding(n_tokens * n_bins, EMBEDDING_WIDTH)
        self.projection = nn.Linear(EMBEDDING_WIDTH, width, bias=False)
        self.layers = nn.ModuleList(CausalLayer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.rows = nn.Linear(width, n_bins + 1)
        self.register_buffer("offsets", torch.arange(n_tokens) * n_bins, persistent=False)

    def forward(
        self, features: Float[Tensor, "batch feature_width"], action_bins: Int64[Tensor, "batch token"]
    ) -> Float[Tensor, "batch token bin_or_dummy"]:
        """Return the logits of every token given the bins before it."""
        embedded = self.projection(self.embedding(action_bins[:, :-1] + self.offsets[:-1]))
        hidden = self.entry(features).unsqueeze(1) * self.scale + self.shift + F.pad(embedded, (0, 0, 1, 0))
        for layer in self.layers:
            hidden, _ = layer(hidden, None)
        return self._logits(hidden)

    def begin(self, features: Float[Tensor, "batch feature_width"]) -> DecoderMemory:
        """Return the memory before token 0."""
        return DecoderMemory(self.entry(features))

    def step(
        self, memory: DecoderMemory, previous_bins: Int64[Tensor, " batch"] | None, *, position: int
    ) -> Float[Tensor, "batch bin_or_dummy"]:
        """Return the logits of the token at `position` and extend the memory by it."""
        hidden = memory.features * self.scale[position] + self.shift[position]
        if previous_bins is not None:
            hidden = hidden + self.projection(self.embedding(previous_bins + self.offsets[position - 1]))
        hidden, extended = hidden.unsqueeze(1), []
        for index, layer in enumerate(self.layers):
            hidden, layer_memory = layer(hidden, memory.layers[index] if memory.layers else None)
            extended.append(layer_memory)
        memory.layers = extended
        return self._logits(hidden[:, 0])

    def _logits(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):  # the log-ratio of two models needs float32 logits
            return self.rows(self.norm(hidden.float()))
