"""From a behavior policy to what the Q phase reads beside the frames."""

from __future__ import annotations

from pathlib import Path

import torch

from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.training.backup_needs import (
    backup_needs,
    horizon,
    needs_target_network,
    needs_whole_distribution,
    value_needs_behavior,
)
from vlm_qsft.training.behavior_cache import build_behavior_cache
from vlm_qsft.training.dataset import FrameSource, QColumns
from vlm_qsft.training.progress import ProgressListener
from vlm_qsft.training.settings import TrainSettings
from vlm_qsft.training.transition_table import transition_table


def build_q_columns(
    behavior: TokenScorer,
    source: FrameSource,
    settings: TrainSettings,
    folder: Path,
    *,
    device: torch.device,
    precision: str,
    progress: ProgressListener | None = None,
) -> QColumns:
    """Return cached log pi_phi and, where the backup bootstraps, the transitions.

    Args:
        folder: of the cache, see `build_behavior_cache`.

    Raises:
        UnknownName: no such backup or remainder.
        StorageError: disk full; called again it continues.
    """
    needs, table = backup_needs(settings), source.table
    log_pi = build_behavior_cache(
        behavior,
        source,
        folder,
        is_whole=needs_whole_distribution(settings),
        batch_size=settings.micro_batch_size,
        device=device,
        precision=precision,
        progress=progress,
    )
    transitions = None
    if needs_target_network(needs):
        transitions = transition_table(
            table.reward,
            table.terminated,
            table.stop,
            gamma=settings.gamma,
            horizon=horizon(settings, table.chunk),
        )
    return QColumns(log_pi, transitions, needs, value_needs_behavior(settings))
