"""TokenBatch: logged actions as tensors, ready for a scorer, a loss and a backup."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from vlm_qsft.model.inputs import ScorerInputs


@dataclass(frozen=True)
class Transitions:
    """From the state of an action to the one its target bootstraps from.

    Attributes:
        inputs: the state s as stored, without augmentation; None where the backup does not look at it.
        next_inputs: the state s' after k control steps.
        reward: discounted sum of the rewards of these k steps.
        discount: gamma**k.
        bootstrap_mask: False where the episode terminated within them.
        log_pi: cached log pi_phi at s for every token and bin, given the logged tokens before; None if not needed.
        log_pi_next: cached log pi_phi at s' of the first token.
    """

    inputs: ScorerInputs | None
    next_inputs: ScorerInputs
    reward: Float32[Tensor, " batch"]
    discount: Float32[Tensor, " batch"]
    bootstrap_mask: Bool[Tensor, " batch"]
    log_pi: Float32[Tensor, "batch token n_bins"] | None
    log_pi_next: Float32[Tensor, "batch n_bins"] | None


@dataclass(frozen=True)
class TokenBatch:
    """One micro-batch.

    Attributes:
        inputs: what the scorer sees, augmented where the settings say so.
        action_bins: the logged tokens.
        weights: of the actions in the loss.
        returns: Monte-Carlo return from each action on.
        logged_log_pi: cached log pi_phi of the logged tokens; None in the behavior phase.
        first_log_pi: cached log pi_phi of every bin of the first token; None where no value is read with it.
        transitions: what bootstrapping backups need; None where none does.
    """

    inputs: ScorerInputs
    action_bins: Int64[Tensor, "batch token"]
    weights: Float32[Tensor, " batch"]
    returns: Float32[Tensor, " batch"]
    logged_log_pi: Float32[Tensor, "batch token"] | None = None
    first_log_pi: Float32[Tensor, "batch n_bins"] | None = None
    transitions: Transitions | None = None

    def __len__(self) -> int:
        """Return the number of actions."""
        return len(self.action_bins)

    def to(self, device: torch.device) -> TokenBatch:
        """Return the same batch on `device`."""
        return self if self.action_bins.device == device else _moved(self, device)


def _moved[Record: (TokenBatch, Transitions)](record: Record, device: torch.device) -> Record:
    parts = {}
    for field in fields(record):
        part = getattr(record, field.name)
        if isinstance(part, Transitions):
            parts[field.name] = _moved(part, device)
        elif isinstance(part, Tensor):
            parts[field.name] = part.to(device, non_blocking=True)
        elif isinstance(part, ScorerInputs):
            parts[field.name] = part.to(device)
    return replace(record, **parts)
