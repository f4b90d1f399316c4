"""LLaVA 1.5: a CLIP tower, a projector and a Llama-like decoder."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from vlm_qsft.model.families.family import ImageFeatures, VlmFamily


class LlavaFamily(VlmFamily):
    """LlavaForConditionalGeneration."""

    def head(self, tokenizer: PreTrainedTokenizerBase, *, n_cameras: int, n_image_tokens: int) -> str:
        """Return the opening of the user's turn with the pictures."""
        return f"{tokenizer.bos_token or ''}USER: {('<image>' * n_image_tokens + chr(10)) * n_cameras}"

    def tail(self, instruction: str) -> str:
        """Return the rest of the user's turn and the opening of the answer."""
        return f"{instruction} ASSISTANT:"

    def image_features(self, pixels: Float[Tensor, "image 3 height width"]) -> ImageFeatures:
        """Return projected features of the layer that the configuration names."""
        return ImageFeatures(torch.stack(list(self.model.model.get_image_features(pixels).pooler_output)))
