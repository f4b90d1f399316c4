"""`RobotScorer`: the scorers that see what a robot sees, and read its instruction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.model.inputs import ModelInputs
from vlm_qsft.model.scorer import TokenScorer, TokenSpec


@dataclass(frozen=True, kw_only=True)
class ScorerSpec(TokenSpec):
    """What the scorer of a robot takes and gives.

    Attributes:
        cameras: names, in the order of `ModelInputs.images`.
        image_size: height and width of every picture, pixels.
        state_dim: numbers in the state.
    """

    cameras: tuple[str, ...]
    image_size: tuple[int, int]
    state_dim: int

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ScorerSpec:
        """Rebuild a specification from `to_json`, also after a trip through a file."""
        height, width = document["image_size"]
        return cls(**{**document, "cameras": tuple(document["cameras"]), "image_size": (height, width)})


class RobotScorer(TokenScorer[ModelInputs]):
    """A model of p(token i | pictures, state, instruction, tokens before i)."""

    spec: ScorerSpec

    @abstractmethod
    def encode_instructions(
        self, instructions: Sequence[str]
    ) -> tuple[Int64[Tensor, "batch text_len"], Bool[Tensor, "batch text_len"]]:
        """Return token ids, padded on the right, and the mask of what is not padding.

        Raises:
            UnknownName: an instruction has a word that the model's vocabulary lacks.
        """

    def check_inputs(self, inputs: ModelInputs) -> None:
        """Check a batch against `spec`.

        Raises:
            ShapeMismatch: cameras, image size, state size, types or batch sizes differ.
        """
        spec = self.spec
        expected = (len(spec.cameras), *spec.image_size, 3)
        if tuple(inputs.images.shape[1:]) != expected or inputs.images.dtype != torch.uint8:
            raise ShapeMismatch(
                f"Images must be uint8 of shape (batch, {', '.join(map(str, expected))}), cameras "
                f"{', '.join(spec.cameras)}; got {inputs.images.dtype} of {tuple(inputs.images.shape)}."
            )
        if inputs.state.ndim != 2 or inputs.state.shape[1] != spec.state_dim:
            raise ShapeMismatch(f"The state must have {spec.state_dim} numbers; got {tuple(inputs.state.shape)}.")
        sizes = {len(inputs.images), len(inputs.state), len(inputs.text), len(inputs.text_mask)}
        if len(sizes) > 1:
            raise ShapeMismatch(f"The parts of a batch must have one size; got {sorted(sizes)}.")
