"""The Q phase: p_theta by weighted cross-entropy on the targets of a backup."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from vlm_qsft.data.storage import write_durably
from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.qsft import (
    BACKUPS,
    BackupInputs,
    BackupSettings,
    Calibration,
    Remainder,
    TargetNetwork,
    behavior_value,
    calibration,
    q_loss,
    ratio_metrics,
)
from vlm_qsft.training.backup_needs import backup_needs, needs_target_network
from vlm_qsft.training.batch import TokenBatch
from vlm_qsft.training.metric_means import MetricMeans
from vlm_qsft.training.sampler import Priority
from vlm_qsft.training.settings import TrainSettings
from vlm_qsft.training.trainer import TokenTrainer
from vlm_qsft.training.weights import save_tensors

TARGET_NETWORK_FILE = "target_network.safetensors"
TARGETS_FILE = "targets.json"
CALIBRATION_FILE = "calibration.json"
HISTOGRAM_BINS = 50

START_DUMMY_PROBABILITY = {"dummy": 0.95, "uniform": 1e-6}
"""What the dummy token takes from pi_phi where p_theta starts. With `dummy` this is the value 0.05 everywhere, far from
saturation. With `uniform` the dummy gets no label and must be out of the way: p_theta starts as pi_phi, as printed."""


def likelihood_model[Scorer: TokenScorer[Any]](behavior: Scorer, remainder: str) -> Scorer:
    """Return p_theta as it starts under a remainder: a copy of pi_phi with its dummy token reset."""
    q_model = copy.deepcopy(behavior)
    q_model.reset_dummy(START_DUMMY_PROBABILITY[remainder])
    return q_model


class QTrainer(TokenTrainer):
    """Trains p_theta, see `likelihood_model` for its start."""

    def __init__(self, q_model: TokenScorer[Any], *, settings: TrainSettings, reward_rule: str, **others: Any) -> None:
        """Prepare the phase.

        Args:
            reward_rule: the rule that scaled the data set's rewards, named by errors about targets.
            others: see `TokenTrainer`.
        """
        self._backup = BACKUPS[settings.backup]
        self._needs = backup_needs(settings, q_model.spec.n_tokens)
        self._remainder: Remainder = cast(Remainder, settings.remainder)  # `backup_needs` has checked it
        self._backup_settings = BackupSettings(self._remainder, settings.support, clip=True, reward_rule=reward_rule)
        self.target_network: TargetNetwork | None = None
        super().__init__(q_model, settings=settings, phase="q", **others)
        if needs_target_network(self._needs):
            self.target_network = TargetNetwork(q_model, settings.target_update_rate)
            self.add_callback(TargetNetworkCallback(self.target_network))

    def targets(self, batch: TokenBatch) -> Tensor:
        """Return the label weights of a batch."""
        return self._backup.targets(self._backup_inputs(batch), self._backup_settings)

    def batch_loss(self, log_probs: Tensor, batch: TokenBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `loss_on_targets` of the backup."""
        return self.loss_on_targets(self.targets(batch), log_probs, batch)

    def loss_on_targets(
        self, targets: Tensor, log_probs: Tensor, batch: TokenBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `q_loss` on given label weights, with the value and the ratio metrics of the logged tokens."""
        loss, metrics = q_loss(log_probs, batch.action_bins, targets, remainder=self._remainder, weights=batch.weights)
        value = (batch.weights / batch.weights.sum()) @ self.values(log_probs, batch)
        return loss, {**metrics, "value": value, **logged_ratio_metrics(log_probs, batch)}

    def values(self, log_probs: Tensor, batch: TokenBatch) -> Tensor:
        """Return the value of every state of a batch, without gradient."""
        return behavior_value(log_probs.detach()[:, 0], batch.first_log_pi, self._remainder)

    def held_out_metrics(self) -> dict[str, float]:
        """Return the means over the held-out frames and the calibration; write targets.json and calibration.json."""
        means, values, returns, targets = MetricMeans(), [], [], []
        for log_probs, batch in self.held_out_batches():
            targets.append(self.targets(batch))
            loss, metrics = self.loss_on_targets(targets[-1], log_probs, batch)
            means.add({"loss": loss, **metrics}, count=len(batch))
            values.append(self.values(log_probs, batch).cpu())
            returns.append(batch.returns.cpu())
        fit = calibration(torch.cat(values), torch.cat(returns))
        write_targets(self.out / TARGETS_FILE, torch.cat(targets).cpu())
        write_calibration(self.out / CALIBRATION_FILE, fit)
        return means.take() | {"calibration_error": fit.error, "value_return_correlation": fit.correlation}

    def priority(self) -> Priority | None:
        """Return the returns of the training frames as odds; None where no return is above 0."""
        odds = self.train_frames.odds
        if self.settings.priority_share == 0.0 or not odds.any():
            return None
        return Priority(odds, self.settings.priority_share)

    def save_extras(self, folder: Path) -> None:
        """Write the target network too: without it the targets of a resumed run would jump."""
        super().save_extras(folder)
        if self.target_network is not None:
            save_tensors(self.target_network.state_dict(), folder / TARGET_NETWORK_FILE)

    def load_extras(self, folder: Path) -> None:
        """Read what `save_extras` wrote."""
        super().load_extras(folder)
        if self.target_network is not None:
            self.target_network.load_state_dict(load_file(folder / TARGET_NETWORK_FILE))

    def _backup_inputs(self, batch: TokenBatch) -> BackupInputs:
        n_tokens = batch.action_bins.shape[1]
        if batch.transitions is None or self.target_network is None:
            return BackupInputs(n_tokens, returns=batch.returns)
        step, target = batch.transitions, self.target_network.module
        with torch.no_grad(), self.accelerator.autocast():
            log_p_next = self.outputs(target.next_logits(target.start(step.next_inputs), None))
            log_p = None if step.inputs is None else self.outputs(target.logits(step.inputs, batch.action_bins))
        return BackupInputs(
            n_tokens,
            returns=batch.returns,
            reward=step.reward,
            discount=step.discount,
            bootstrap_mask=step.bootstrap_mask,
            log_p_next=log_p_next,
            log_pi_next=step.log_pi_next,
            log_p=log_p,
            log_pi=step.log_pi,
        )


class TargetNetworkCallback(TrainerCallback):
    """Averages the target network after every optimiser step."""

    def __init__(self, target_network: TargetNetwork) -> None:
        self._target_network = target_network

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take one Polyak step."""
        self._target_network.update(kwargs["model"])


def logged_ratio_metrics(log_probs: Tensor, batch: TokenBatch) -> dict[str, Tensor]:
    """Return `ratio_metrics` from the cached log pi_phi of the logged tokens alone, as of an alphabet of one bin."""
    if batch.logged_log_pi is None:
        raise ValueError("The Q phase needs cached log pi_phi.")
    logged = log_probs.detach()[..., :-1].gather(-1, batch.action_bins[..., None])
    one_bin = torch.cat([logged, log_probs.detach()[..., -1:]], dim=-1)
    return ratio_metrics(one_bin, batch.logged_log_pi[..., None], torch.zeros_like(batch.action_bins), batch.weights)


def write_targets(path: Path, targets: Tensor) -> None:
    """Write the histogram of targets over [0, 1]."""
    counts = torch.histc(targets.double(), bins=HISTOGRAM_BINS, min=0.0, max=1.0)
    edges = torch.linspace(0.0, 1.0, HISTOGRAM_BINS + 1, dtype=torch.float64)
    write_durably(path, json.dumps({"edges": edges.tolist(), "counts": counts.tolist()}).encode())


def write_calibration(path: Path, fit: Calibration) -> None:
    """Write the reliability diagram; empty bins are left out."""
    bins = [
        {"predicted": predicted, "realised": realised, "count": count}
        for predicted, realised, count in zip(
            fit.predicted.tolist(), fit.realised.tolist(), fit.count.tolist(), strict=True
        )
        if count
    ]
    content = {"bins": bins, "ece": fit.error, "correlation": fit.correlation}
    write_durably(path, json.dumps(content, indent=2).encode())
