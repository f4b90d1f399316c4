"""Idefics3 and SmolVLM: the fewest image tokens of all (pixel shuffle), one tile per picture."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.families.family import ImageFeatures, VlmFamily


class Idefics3Family(VlmFamily):
    """Idefics3ForConditionalGeneration and SmolVLMForConditionalGeneration."""

    @property
    def language_model(self) -> PreTrainedModel:
        """Return the Llama-like decoder."""
        return self.model.model.text_model

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Refuse what patches and pixel shuffle cannot divide; smaller squares than its own size are fine.

        Raises:
            InvalidSetting: says which sizes it takes.
        """
        config = self.model.config
        step, largest = config.vision_config.patch_size * config.scale_factor, self.own_image_size[0]
        height, width = image_size
        if height != width or height % step or height > largest:
            raise InvalidSetting(
                f"This model takes square pictures of a multiple of {step}, at most {largest} pixels; got {image_size}."
            )

    def head(self, tokenizer: PreTrainedTokenizerBase, *, n_cameras: int, n_image_tokens: int) -> str:
        """Return the user's turn with one untiled picture per camera, as the family's own processor writes it."""
        around = "<fake_token_around_image>"
        picture = f"{around}<global-img>{'<image>' * n_image_tokens}{around}"
        return f"{tokenizer.bos_token or ''}User:{picture * n_cameras}"

    def tail(self, instruction: str) -> str:
        """Return the rest of the user's turn and the opening of the answer."""
        return f"{instruction}<end_of_utterance>\nAssistant:"

    def image_features(self, pixels: Float[Tensor, "image 3 height width"]) -> ImageFeatures:
        """Return connector features; not by `get_image_features`, which drops a picture whose pixels are all zero."""
        seen = self.model.model.vision_model(pixel_values=pixels).last_hidden_state
        return ImageFeatures(self.model.model.connector(seen))
