"""Training in two phases: the behavior policy, then the likelihood model. Loads torch only when it works."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlm_qsft.training.phase_data import SuccessesOnlyWarning
    from vlm_qsft.training.phases import train_behavior, train_q
    from vlm_qsft.training.progress import ProgressListener
    from vlm_qsft.training.settings import TokenSettings, TrainSettings

_HOMES = {
    "SuccessesOnlyWarning": "phase_data",
    "train_behavior": "phases",
    "train_q": "phases",
    "ProgressListener": "progress",
    "TokenSettings": "settings",
    "TrainSettings": "settings",
}

__all__ = ["ProgressListener", "SuccessesOnlyWarning", "TokenSettings", "TrainSettings", "train_behavior", "train_q"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
