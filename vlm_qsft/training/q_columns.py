"""From a behavior policy to what the Q phase reads beside the logged actions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.training.backup_needs import backup_needs, needs_whole_distribution, value_needs_behavior
from vlm_qsft.training.behavior_cache import build_behavior_cache
from vlm_qsft.training.progress import ProgressListener
from vlm_qsft.training.settings import TrainSettings
from vlm_qsft.training.token_dataset import LoggedLogProbs, RowSource
from vlm_qsft.training.transition_table import TransitionTable


@dataclass(frozen=True)
class QColumns:
    """What the Q phase reads beside the states.

    Attributes:
        log_pi: the cached behavior policy.
        transitions: of every row; None where the backup does not bootstrap.
        needs: see `backup_needs`.
        value_needs_behavior: batches carry log pi_phi of the first token, see `backup_needs.value_needs_behavior`.
    """

    log_pi: LoggedLogProbs
    transitions: TransitionTable | None
    needs: frozenset[str]
    value_needs_behavior: bool


def build_q_columns(
    behavior: TokenScorer[Any],
    source: RowSource,
    transitions: TransitionTable | None,
    settings: TrainSettings,
    folder: Path,
    *,
    batch_size: int,
    device: torch.device,
    precision: str,
    progress: ProgressListener | None = None,
) -> QColumns:
    """Return cached log pi_phi beside the transitions.

    Args:
        transitions: of every row; None where the backup does not bootstrap.
        folder: of the cache, see `build_behavior_cache`.
        batch_size: rows that are in memory at a time.

    Raises:
        UnknownName: no such backup or remainder.
        StorageError: disk full; called again it continues.
    """
    log_pi = build_behavior_cache(
        behavior,
        source,
        folder,
        is_whole=needs_whole_distribution(settings, behavior.spec.n_tokens),
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=progress,
    )
    needs = backup_needs(settings, behavior.spec.n_tokens)
    return QColumns(log_pi, transitions, needs, value_needs_behavior(settings))
