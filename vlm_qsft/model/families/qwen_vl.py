"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures of any size as flat patches, rotary positions with three axes."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.families.family import ImageFeatures, VlmFamily

# These towers have no size of their own; 8 x 8 image tokens of 28 or 32 pixels show enough and stay cheap.
DEFAULT_TOKENS_PER_SIDE = 8


class QwenVlFamily(VlmFamily):
    """Qwen2VLForConditionalGeneration, Qwen2_5_VLForConditionalGeneration and Qwen3VLForConditionalGeneration."""

    @property
    def pixels_per_token(self) -> int:
        """Return the side of the square that one image token stands for, pixels."""
        vision = self.model.config.vision_config
        return vision.patch_size * vision.spatial_merge_size

    @property
    def own_image_size(self) -> tuple[int, int]:
        """Return the size used when none is asked for, pixels."""
        side = DEFAULT_TOKENS_PER_SIDE * self.pixels_per_token
        return side, side

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Refuse sizes that are no whole number of image tokens.

        Raises:
            InvalidSetting: says which sizes it takes.
        """
        if any(side % self.pixels_per_token for side in image_size):
            raise InvalidSetting(
                f"This model takes pictures whose sides are multiples of {self.pixels_per_token} pixels; "
                f"got image_size={image_size}."
            )

    def head(self, tokenizer: PreTrainedTokenizerBase, *, n_cameras: int, n_image_tokens: int) -> str:
        """Return the opening of the user's turn with the pictures."""
        del tokenizer
        picture = f"<|vision_start|>{'<|image_pad|>' * n_image_tokens}<|vision_end|>"
        return f"<|im_start|>user\n{picture * n_cameras}"

    def tail(self, instruction: str) -> str:
        """Return the rest of the user's turn and the opening of the answer."""
        return f"{instruction}<|im_end|>\n<|im_start|>assistant\n"

    def image_features(self, pixels: Float[Tensor, "image 3 height width"]) -> ImageFeatures:
        """Return merged patch features; from Qwen3-VL on, those of earlier layers of the tower too."""
        grids = self._grids(len(pixels), (pixels.shape[2], pixels.shape[3])).to(pixels.device)
        seen = self.model.model.visual(self._patches(pixels), grid_thw=grids)
        merged = (seen.pooler_output, *(seen.get("deepstack_features") or ()))
        embeddings, *deeper = (features.view(len(pixels), -1, features.shape[-1]) for features in merged)
        return ImageFeatures(embeddings, tuple(deeper))

    def head_positions(
        self, head_ids: Int64[Tensor, " head"], *, n_cameras: int, image_size: tuple[int, int]
    ) -> Int64[Tensor, "axis head"]:
        """Return time, row and column of every head token, by the model's own rule."""
        positions, _ = self.model.model.get_rope_index(
            head_ids[None],
            mm_token_type_ids=(head_ids == self.image_token_id).int()[None],
            image_grid_thw=self._grids(n_cameras, image_size),
        )
        return positions[:, 0]

    def _grids(self, n_images: int, image_size: tuple[int, int]) -> Tensor:
        patch = self.model.config.vision_config.patch_size
        return torch.tensor([[1, image_size[0] // patch, image_size[1] // patch]] * n_images)

    def _patches(self, pixels: Tensor) -> Tensor:
        """Flatten pictures into patches, the patches that are merged into one token next to each other."""
        vision = self.model.config.vision_config
        patch, merge, frames = vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size
        images, channels, height, width = pixels.shape
        tiles = pixels.view(
            images, channels, height // patch // merge, merge, patch, width // patch // merge, merge, patch
        )
        tiles = tiles.permute(0, 2, 5, 3, 6, 1, 4, 7)
        still = tiles.unsqueeze(6).expand(*tiles.shape[:6], frames, patch, patch)
        return still.reshape(-1, channels * frames * patch * patch)
