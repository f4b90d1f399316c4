"""The Q phase of the rivals that learn a critic: the trainer of Q-SFT with another loss and reading of the network."""

from __future__ import annotations

import copy
from typing import Any, cast

from torch import Tensor

from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.qsft import BackupInputs
from vlm_qsft.qsft.backups import behavior_targets, monte_carlo_targets
from vlm_qsft.qsft.critics import CRITICS, critic_loss, critic_value, log_values
from vlm_qsft.training.batch import TokenBatch
from vlm_qsft.training.q_trainer import QTrainer, likelihood_model
from vlm_qsft.training.settings import TrainSettings

START_VALUE = 0.5
"""V everywhere where a critic starts: the middle of what it may be."""


def value_model[Scorer: TokenScorer[Any]](behavior: Scorer, settings: TrainSettings) -> Scorer:
    """Return the network of the Q phase as it starts: a copy of pi_phi.

    A critic keeps the rows of pi_phi, so that Q starts near 0 where nothing was logged, and is 0.5 everywhere as V.
    """
    if settings.method == "qsft":
        return likelihood_model(behavior, settings.remainder)
    critic = copy.deepcopy(behavior)
    critic.reset_dummy(START_VALUE)
    return critic


def q_trainer(model: TokenScorer[Any], *, settings: TrainSettings, **others: Any) -> QTrainer:
    """Return the trainer of a method; see `QTrainer` for the arguments."""
    kind = QTrainer if settings.method == "qsft" else CriticTrainer
    return kind(model, settings=settings, **others)


class CriticTrainer(QTrainer):
    """Trains a critic, see `qsft.critics`; wherever `QTrainer` speaks of log-probabilities it has logits."""

    def outputs(self, logits: Tensor) -> Tensor:
        """Return the logits: sigmoids of them are values."""
        return logits

    def targets(self, batch: TokenBatch) -> Tensor:
        """Return what the critic is fitted to, by the functions that compute the label weights of Q-SFT."""
        critic, inputs = CRITICS[self.settings.method], self._backup_inputs(batch)
        rule = self._backup_settings.reward_rule
        if critic.backup == "monte_carlo":
            return monte_carlo_targets(cast(Tensor, inputs.returns), inputs.n_tokens, reward_rule=rule)
        next_logits = cast(Tensor, inputs.log_p_next)
        return behavior_targets(
            cast(Tensor, inputs.reward),
            cast(Tensor, inputs.discount),
            cast(Tensor, inputs.bootstrap_mask),
            next_value=critic.next_value(log_values(next_logits)),
            prefix_values=critic.next_value(log_values(_at_prefixes(inputs, next_logits))),
            reward_rule=rule,
            backup=critic.name,
        )

    def loss_on_targets(
        self, targets: Tensor, log_probs: Tensor, batch: TokenBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `critic_loss` with the values of the states and of the logged tokens."""
        critic = CRITICS[self.settings.method]
        loss, metrics = critic_loss(critic, log_probs, batch.action_bins, targets, batch.weights)
        share = batch.weights / batch.weights.sum()
        logged = log_probs.detach()[..., :-1].gather(-1, batch.action_bins[..., None]).squeeze(-1).sigmoid()
        return loss, {
            **metrics,
            "value": share @ self.values(log_probs, batch),
            "logged_action_value": share @ logged.mean(dim=1),
        }

    def values(self, log_probs: Tensor, batch: TokenBatch) -> Tensor:
        """Return V of every state of a batch, without gradient."""
        return critic_value(log_values(log_probs.detach()[:, 0]))


def _at_prefixes(inputs: BackupInputs, next_logits: Tensor) -> Tensor:
    """Return the logits after every prefix; where an action is one token the only column is never read."""
    return next_logits[:, None] if inputs.log_p is None else inputs.log_p
