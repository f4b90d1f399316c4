"""What differs between image-text-to-text models of transformers, as one small class each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from vlm_qsft.errors import InvalidSetting


@dataclass(frozen=True)
class ImageFeatures:
    """What a vision tower gives the decoder.

    Attributes:
        embeddings: stand in the places of the image tokens.
        deeper: added to the hidden states in these places after the first decoder layers, one tensor per layer; most
            towers give none.
    """

    embeddings: Float[Tensor, "image image_token hidden"]
    deeper: tuple[Float[Tensor, "image image_token hidden"], ...] = ()


class VlmFamily(ABC):
    """How one family lays out its prompt, embeds its pictures and numbers its positions.

    The sequence is `head | tail | state | action tokens`. The head is the same in every example (chat opening and
    pictures); the tail holds the instruction and is padded on the right.

    Attributes:
        model: the transformers model; owned by the scorer, not by this object.
        sees_whole_prefix: whether head, tail and state attend to each other in both directions.
    """

    sees_whole_prefix = False

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def language_model(self) -> PreTrainedModel:
        """Return the decoder that takes embeddings and gives hidden states."""
        return self.model.model.language_model

    @property
    def embedding(self) -> nn.Embedding:
        """Return the table of input embeddings."""
        return self.model.get_input_embeddings()

    @property
    def image_token_id(self) -> int:
        """Return the id of the placeholder that a picture's features replace."""
        return int(self.model.config.image_token_id)

    @property
    def own_image_size(self) -> tuple[int, int]:
        """Return the height and width that the vision tower was trained with, pixels."""
        size = int(self.model.config.vision_config.image_size)
        return size, size

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Refuse a size that the vision tower cannot take.

        Raises:
            InvalidSetting: says which sizes it takes.
        """
        if image_size != self.own_image_size:
            height, width = self.own_image_size
            raise InvalidSetting(
                f"This model takes pictures of {height} x {width} pixels; got image_size={image_size}."
            )

    @abstractmethod
    def head(self, tokenizer: PreTrainedTokenizerBase, *, n_cameras: int, n_image_tokens: int) -> str:
        """Return the text before the instruction, with `n_image_tokens` placeholders for every picture."""

    @abstractmethod
    def tail(self, instruction: str) -> str:
        """Return the instruction and what closes the prompt."""

    @abstractmethod
    def image_features(self, pixels: Float[Tensor, "image 3 height width"]) -> ImageFeatures:
        """Return what stands for normalised pictures."""

    def head_positions(
        self, head_ids: Int64[Tensor, " head"], *, n_cameras: int, image_size: tuple[int, int]
    ) -> Int64[Tensor, "axis head"]:
        """Return the rotary position of every head token; one axis, or three for multimodal rotary embeddings."""
        del n_cameras, image_size
        return torch.arange(len(head_ids))[None]
