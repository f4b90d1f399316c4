"""Scorers of action tokens: building, saving, loading. Loads torch only when a name that needs it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlm_qsft.model.action_logits import join_dummy, renormalise_bins
    from vlm_qsft.model.build import build_scorer
    from vlm_qsft.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from vlm_qsft.model.inputs import ModelInputs
    from vlm_qsft.model.observation_inputs import inputs_from_observation
    from vlm_qsft.model.robot_scorer import RobotScorer, ScorerSpec
    from vlm_qsft.model.scorer import DecodeState, TokenScorer
    from vlm_qsft.model.settings import ModelSettings
    from vlm_qsft.model.state_statistics import StateStatistics

_HOMES = {
    "join_dummy": "action_logits",
    "renormalise_bins": "action_logits",
    "build_scorer": "build",
    "Checkpoint": "checkpoint",
    "load_checkpoint": "checkpoint",
    "save_checkpoint": "checkpoint",
    "ModelInputs": "inputs",
    "inputs_from_observation": "observation_inputs",
    "DecodeState": "scorer",
    "RobotScorer": "robot_scorer",
    "ScorerSpec": "robot_scorer",
    "TokenScorer": "scorer",
    "ModelSettings": "settings",
    "StateStatistics": "state_statistics",
}

__all__ = [
    "Checkpoint",
    "DecodeState",
    "ModelInputs",
    "ModelSettings",
    "RobotScorer",
    "ScorerSpec",
    "StateStatistics",
    "TokenScorer",
    "build_scorer",
    "inputs_from_observation",
    "join_dummy",
    "load_checkpoint",
    "renormalise_bins",
    "save_checkpoint",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
