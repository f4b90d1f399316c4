"""PaliGemma 1 and 2: a SigLIP tower and a Gemma decoder that sees its whole prefix in both directions."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from vlm_qsft.model.families.family import ImageFeatures, VlmFamily


class PaliGemmaFamily(VlmFamily):
    """PaliGemmaForConditionalGeneration."""

    sees_whole_prefix = True

    def head(self, tokenizer: PreTrainedTokenizerBase, *, n_cameras: int, n_image_tokens: int) -> str:
        """Return the pictures and the start token, in the order of the family's own processor."""
        return f"{'<image>' * (n_image_tokens * n_cameras)}{tokenizer.bos_token or ''}"

    def tail(self, instruction: str) -> str:
        """Return the instruction; a line break separates prefix and answer."""
        return f"{instruction}\n"

    def image_features(self, pixels: Float[Tensor, "image 3 height width"]) -> ImageFeatures:
        """Return projected features."""
        return ImageFeatures(self.model.model.get_image_features(pixels).pooler_output)

    def head_positions(
        self, head_ids: Int64[Tensor, " head"], *, n_cameras: int, image_size: tuple[int, int]
    ) -> Int64[Tensor, "axis head"]:
        """Return positions from 1 on: PaliGemma's do not start at 0."""
        del n_cameras, image_size
        return torch.arange(1, len(head_ids) + 1)[None]
