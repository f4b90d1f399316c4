"""`QPolicy`: a checkpoint and policy settings become the decisions of one robot."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model import Checkpoint
from vlm_qsft.policy.decider import Decider, Episode, Question
from vlm_qsft.policy.interface import PolicyInterface
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.types import Decision, Observation


class QPolicy:
    """Decides by SFT or by Q-SFT, whatever the settings say; implements `vlm_qsft.types.Policy`."""

    def __init__(
        self, checkpoint: Checkpoint, settings: PolicySettings, device: torch.device | str, *, explain: bool = False
    ) -> None:
        """Build the policy.

        Args:
            checkpoint: with the networks that the settings need.
            settings: of the extraction.
            device: where to compute.
            explain: fill `Decision.q_values` and `Decision.value` also when the extraction needs one network and the
                checkpoint has both, at the price of one more pass. Without it they are NaN there.

        Raises:
            InvalidSetting: the extraction needs a network that the checkpoint lacks, or it holds a critic.
        """
        self.decider = Decider(checkpoint, settings, device, explain=explain)
        self._episode: Episode | None = None

    @property
    def settings(self) -> PolicySettings:
        """Of the extraction."""
        return self.decider.settings

    @property
    def checkpoint(self) -> Checkpoint:
        """What decides."""
        return self.decider.checkpoint

    @property
    def bin_centers(self) -> Float[np.ndarray, "action_dim n_bins"]:
        """What every action bin decodes to, physical units."""
        return self.checkpoint.action_tokenizer.centers

    @property
    def interface(self) -> PolicyInterface:
        """What it sees and does."""
        return self.decider.interface

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        """Begin an episode; `seed` fixes every random draw until the next reset.

        Raises:
            UnknownName, ShapeMismatch: the model has no words for the instruction, or no room for it.
        """
        self._episode = self.decider.begin(instruction, seed=seed)

    def act(self, observation: Observation) -> Decision:
        """Decide from one observation.

        Raises:
            InvalidSetting: there was no `reset`.
            UnknownName: a camera is missing.
            ShapeMismatch: a picture or the state has another shape or type.
            NotFinite: the state, or what a network computes, holds NaN or infinity.
        """
        if self._episode is None:
            raise InvalidSetting("The policy has no instruction: call reset(instruction) before act(observation).")
        return self.decider.decide(Question(self._episode, observation))
