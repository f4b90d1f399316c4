"""Q-SFT as pure tensor functions: backups, losses, policy extraction, target network, metrics. See README.md."""

from vlm_qsft.qsft.backup_registry import BACKUPS, Backup, BackupInputs, BackupName, BackupSettings
from vlm_qsft.qsft.backups import (
    behavior_targets,
    checked_targets,
    max_targets,
    monte_carlo_targets,
    nstep_targets,
)
from vlm_qsft.qsft.extraction import EXTRACTIONS, Extraction, ExtractionName, likelihood, power, ratio, sft, single
from vlm_qsft.qsft.losses import behavior_loss, q_loss
from vlm_qsft.qsft.metrics import Calibration, calibration, ratio_metrics, target_metrics
from vlm_qsft.qsft.remainder import REMAINDERS, Remainder, behavior_value
from vlm_qsft.qsft.target_network import TargetNetwork, polyak_update
from vlm_qsft.qsft.values import in_support, log_likelihood_ratio, max_ratio, value_from_dummy, value_from_overlap

__all__ = [
    "BACKUPS",
    "EXTRACTIONS",
    "REMAINDERS",
    "Backup",
    "BackupInputs",
    "BackupName",
    "BackupSettings",
    "Calibration",
    "Extraction",
    "ExtractionName",
    "Remainder",
    "TargetNetwork",
    "behavior_loss",
    "behavior_targets",
    "behavior_value",
    "calibration",
    "checked_targets",
    "in_support",
    "likelihood",
    "log_likelihood_ratio",
    "max_ratio",
    "max_targets",
    "monte_carlo_targets",
    "nstep_targets",
    "polyak_update",
    "power",
    "q_loss",
    "ratio",
    "ratio_metrics",
    "sft",
    "single",
    "target_metrics",
    "value_from_dummy",
    "value_from_overlap",
]
