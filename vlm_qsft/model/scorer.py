"""`TokenScorer`: anything that gives log-probabilities of action tokens under what was observed.

Two families of scorers stand behind it: those of robots, conditioned on pictures, state and instruction
(`robot_scorer.RobotScorer`), and those of text, conditioned on the tokens so far (`text_scorer.TextScorer`). Losses,
backups, training and policy extraction know this protocol and neither family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.model.action_logits import split_dummy
from vlm_qsft.model.inputs import ScorerInputs


@dataclass(frozen=True)
class TokenSpec:
    """What every scorer gives.

    Attributes:
        n_bins: bins per action token, for text the words of the vocabulary; the dummy token has index `n_bins`.
        n_tokens: tokens per action chunk, control step by control step; 1 for text, where every token is a decision.
        family: the name the checkpoint loader knows the class by.
    """

    n_bins: int
    n_tokens: int
    family: str

    def to_json(self) -> dict[str, Any]:
        """Return the specification as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TokenSpec:
        """Rebuild a specification from `to_json`, also after a trip through a file."""
        return cls(**document)


@dataclass
class DecodeState:
    """Where a decode stands: what was computed once for the prefix, and what grows with every token.

    Attributes:
        position: index of the token whose log-probabilities come next.
    """

    position: int

    def select(self, rows: Int64[Tensor, " chosen"]) -> None:
        """Go on with these rows alone, in their order; a row may be chosen several times.

        Raises:
            NotImplementedError: of a family whose actions have one token, where nothing goes on.
        """
        raise NotImplementedError(f"{type(self).__name__} does not go on after its only token.")


class TokenScorer[Inputs: ScorerInputs](nn.Module, ABC):
    """A model of p(token i | what was observed, tokens before i) over the bins and the dummy token."""

    spec: TokenSpec

    @property
    @abstractmethod
    def readout(self) -> tuple[nn.Module, ...]:
        """Return the layers whose outputs are logits."""

    def forward(
        self, inputs: Inputs, action_bins: Int64[Tensor, "batch token"]
    ) -> Float32[Tensor, "batch token bin_or_dummy"]:
        """Return `logits`; a name of its own because accelerate wraps `forward`."""
        return self.logits(inputs, action_bins)

    def log_probs(
        self, inputs: Inputs, action_bins: Int64[Tensor, "batch token"]
    ) -> Float32[Tensor, "batch token bin_or_dummy"]:
        """Return teacher-forced log-probabilities, normalised over bins and dummy; raises as `logits`."""
        return split_dummy(self.logits(inputs, action_bins))

    def logits(
        self, inputs: Inputs, action_bins: Int64[Tensor, "batch token"]
    ) -> Float32[Tensor, "batch token bin_or_dummy"]:
        """Return teacher-forced logits; the dummy's is centred, see `action_logits`.

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
        return self._logits(inputs, action_bins)

    def next_log_probs(
        self, decode_state: DecodeState, previous_bins: Int64[Tensor, " batch"] | None
    ) -> Float32[Tensor, "batch bin_or_dummy"]:
        """Return the log-probabilities of the next token and advance `decode_state`; raises as `next_logits`.

        Equals the column of `log_probs` at the same position.
        """
        return split_dummy(self.next_logits(decode_state, previous_bins))

    def next_logits(
        self, decode_state: DecodeState, previous_bins: Int64[Tensor, " batch"] | None
    ) -> Float32[Tensor, "batch bin_or_dummy"]:
        """Return the logits of the next token and advance `decode_state`.

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
        logits = self._next_logits(decode_state, previous_bins)
        decode_state.position += 1
        return logits

    @abstractmethod
    def start(self, inputs: Inputs) -> DecodeState:
        """Run everything that does not depend on action tokens once, and return where decoding begins.

        Raises:
            ShapeMismatch: the inputs do not fit `spec`.
        """

    @abstractmethod
    def check_inputs(self, inputs: Inputs) -> None:
        """Check a batch against `spec`.

        Raises:
            ShapeMismatch: shapes, types or batch sizes differ.
        """

    @abstractmethod
    def _logits(self, inputs: Inputs, action_bins: Tensor) -> Tensor:
        """Return `logits` of checked arguments, in float32."""

    @abstractmethod
    def _next_logits(self, decode_state: Any, previous_bins: Tensor | None) -> Tensor:
        """Return `next_logits` of checked arguments, in float32; the caller advances `position`."""

    @abstractmethod
    def reset_dummy(self, probability: float = 0.95) -> None:
        """Give the dummy token this probability in every state and after every prefix; the bins keep their ratios."""

    @abstractmethod
    def save_files(self, folder: Path) -> None:
        """Write everything but the weights that `load_files` needs to rebuild this scorer."""

    @classmethod
    @abstractmethod
    def load_files(cls, folder: Path) -> TokenScorer[Inputs]:
        """Rebuild a scorer from what `save_files` wrote; its weights are not loaded yet.

        Raises:
            CheckpointError: a file is missing or says something else than this version writes.
        """

    def _check_bins(self, action_bins: Tensor) -> None:
        if action_bins.numel() == 0:
            return
        low, high = (int(bound) for bound in torch.aminmax(action_bins))
        if low < 0 or high >= self.spec.n_bins:
            raise ShapeMismatch(
                f"Action bins must lie in 0..{self.spec.n_bins - 1}; got {low}..{high} "
                f"({self.spec.n_bins} is the dummy token, which is never an action)."
            )
