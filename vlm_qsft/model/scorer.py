"""`TokenScorer`: anything that gives log-probabilities of action tokens under an observation and an instruction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn

from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.model.inputs import ModelInputs


@dataclass(frozen=True)
class ScorerSpec:
    """What a scorer takes and gives.

    Attributes:
        n_bins: bins per action token; the dummy token has index `n_bins`.
        n_tokens: tokens per action chunk, control step by control step.
        cameras: names, in the order of `ModelInputs.images`.
        image_size: height and width of every picture, pixels.
        state_dim: numbers in the state.
        family: the name the checkpoint loader knows the class by.
    """

    n_bins: int
    n_tokens: int
    cameras: tuple[str, ...]
    image_size: tuple[int, int]
    state_dim: int
    family: str

    def to_json(self) -> dict[str, Any]:
        """Return the specification as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ScorerSpec:
        """Rebuild a specification from `to_json`, also after a trip through a file."""
        height, width = document["image_size"]
        return cls(**{**document, "cameras": tuple(document["cameras"]), "image_size": (height, width)})


@dataclass
class DecodeState:
    """Where a decode stands: what was computed once for the prefix, and what grows with every token.

    Attributes:
        position: index of the token whose log-probabilities come next.
    """

    position: int


class TokenScorer(nn.Module, ABC):
    """A model of p(token i | observation, instruction, tokens before i) over the bins and the dummy token."""

    spec: ScorerSpec

    def forward(
        self, inputs: ModelInputs, action_bins: Int64[Tensor, "batch token"]
    ) -> Float32[Tensor, "batch token bin_or_dummy"]:
        """Return `log_probs`; a name of its own because accelerate and DDP wrap `forward`."""
        return self.log_probs(inputs, action_bins)

    def log_probs(
        self, inputs: ModelInputs, action_bins: Int64[Tensor, "batch token"]
    ) -> Float32[Tensor, "batch token bin_or_dummy"]:
        """Return teacher-forced log-probabilities, normalised over bins and dummy.

        Row i is conditioned on the bins before i and never on bin i or later ones.

        Raises:
            ShapeMismatch: inputs or bins do not fit `spec`.
        """
        self.check_inputs(inputs)
        expected = (len(inputs), self.spec.n_tokens)
        if tuple(action_bins.shape) != expected or action_bins.dtype != torch.int64:
            raise ShapeMismatch(
                f"Action bins must be int64 of shape {expected}; got {action_bins.dtype} of {tuple(action_bins.shape)}."
            )
        if action_bins.device.type == "cpu":  # elsewhere reading the values would stall the device
            self._check_bins(action_bins)
        return self._log_probs(inputs, action_bins)

    def next_log_probs(
        self, decode_state: DecodeState, previous_bins: Int64[Tensor, " batch"] | None
    ) -> Float32[Tensor, "batch bin_or_dummy"]:
        """Return the log-probabilities of the next token and advance `decode_state`.

        Equals the column of `log_probs` at the same position.

        Args:
            decode_state: from `start`; changed in place.
            previous_bins: the bin chosen at the position before; None at the first position.
        Raises:
            ValueError: the previous bin is missing, given too early, or every token is already decoded.
            ShapeMismatch: a bin that is no bin, such as the dummy token.
        """
        if decode_state.position >= self.spec.n_tokens:
            raise ValueError(f"All {self.spec.n_tokens} tokens are decoded; call start() for the next decision.")
        if (previous_bins is None) != (decode_state.position == 0):
            raise ValueError(f"previous_bins is None at position 0 and only there (position {decode_state.position}).")
        if previous_bins is not None:
            self._check_bins(previous_bins)
        log_probs = self._next_log_probs(decode_state, previous_bins)
        decode_state.position += 1
        return log_probs

    @abstractmethod
    def start(self, inputs: ModelInputs) -> DecodeState:
        """Run everything that does not depend on action tokens once, and return where decoding begins.

        Raises:
            ShapeMismatch: the inputs do not fit `spec`.
        """

    @abstractmethod
    def _log_probs(self, inputs: ModelInputs, action_bins: Tensor) -> Tensor:
        """Return `log_probs` of checked arguments."""

    @abstractmethod
    def _next_log_probs(self, decode_state: Any, previous_bins: Tensor | None) -> Tensor:
        """Return `next_log_probs` of checked arguments; the caller advances `position`."""

    @abstractmethod
    def encode_instructions(
        self, instructions: Sequence[str]
    ) -> tuple[Int64[Tensor, "batch text_len"], Bool[Tensor, "batch text_len"]]:
        """Return token ids, padded on the right, and the mask of what is not padding.

        Raises:
            UnknownName: an instruction has a word that the model's vocabulary lacks.
        """

    @abstractmethod
    def reset_dummy(self, probability: float = 0.95) -> None:
        """Give the dummy token this probability in every state and after every prefix; the bins keep their ratios."""

    @abstractmethod
    def save_files(self, folder: Path) -> None:
        """Write everything but the weights that `load_files` needs to rebuild this scorer."""

    @classmethod
    @abstractmethod
    def load_files(cls, folder: Path) -> TokenScorer:
        """Rebuild a scorer from what `save_files` wrote; its weights are not loaded yet.

        Raises:
            CheckpointError: a file is missing or says something else than this version writes.
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

    def _check_bins(self, action_bins: Tensor) -> None:
        low, high = (int(bound) for bound in torch.aminmax(action_bins))
        if low < 0 or high >= self.spec.n_bins:
            raise ShapeMismatch(
                f"Action bins must lie in 0..{self.spec.n_bins - 1}; got {low}..{high} "
                f"({self.spec.n_bins} is the dummy token, which is never an action)."
            )
