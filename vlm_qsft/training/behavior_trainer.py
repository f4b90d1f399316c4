"""The behavior phase: pi_phi by SFT on logged actions; on successful episodes alone it is the same code."""

from __future__ import annotations

from torch import Tensor

from vlm_qsft.model.action_logits import renormalise_bins
from vlm_qsft.qsft import behavior_loss
from vlm_qsft.training.batch import TokenBatch
from vlm_qsft.training.metric_means import MetricMeans
from vlm_qsft.training.trainer import TokenTrainer


class BehaviorTrainer(TokenTrainer):
    """Fits the distribution over the bins; the dummy token is no part of pi_phi."""

    def batch_loss(self, log_probs: Tensor, batch: TokenBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `behavior_loss`."""
        return behavior_loss(renormalise_bins(log_probs), batch.action_bins, batch.weights)

    def held_out_metrics(self) -> dict[str, float]:
        """Return the mean loss, NLL and accuracy per token over the held-out frames."""
        means = MetricMeans()
        for log_probs, batch in self.held_out_batches():
            loss, metrics = self.batch_loss(log_probs, batch)
            means.add({"loss": loss, **metrics}, count=len(batch))
        return means.take()
