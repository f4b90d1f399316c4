"""From a checkpoint folder to a policy, with the settings that stand beside it, in whatever process it is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vlm_qsft.errors import CheckpointError, InvalidSetting, UnknownName
from vlm_qsft.model import load_checkpoint
from vlm_qsft.model.manifest import read_manifest
from vlm_qsft.policy.q_policy import QPolicy
from vlm_qsft.policy.settings import POLICY_FILE, PolicySettings

PLAIN_SFT = PolicySettings(extraction="sft", temperature=1.0, inverse_temperature=0.0, support=0.0)


def chosen_settings(checkpoint: Path) -> PolicySettings:
    """Return the settings beside a checkpoint; where none were chosen, plain SFT or the default of Q-SFT.

    Raises:
        CheckpointError: no whole checkpoint, or its policy.json cannot be read, or this version does not know it.
    """
    manifest = read_manifest(checkpoint)
    path = checkpoint / POLICY_FILE
    if not path.is_file():
        has_q_model = any(name.startswith("q_model/") for name in manifest.files)
        return PolicySettings() if has_q_model else PLAIN_SFT
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise CheckpointError(f"{path} cannot be read: {problem}. Delete it to use the default settings.") from problem
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} holds no policy settings. Delete it to use the default settings.")
    try:
        return PolicySettings.from_json(document)
    except (UnknownName, InvalidSetting) as problem:
        raise CheckpointError(f"{path}: {problem} Delete it to use the default settings.") from problem


def describe(settings: PolicySettings) -> str:
    """Return the settings that count, as one line: `ratio, temperature 0.5, inverse temperature 4`."""
    text = f"{settings.extraction}, temperature {settings.temperature:g}"
    if settings.needs_behavior and settings.needs_q_model:
        text += f", inverse temperature {settings.inverse_temperature:g}"
    if settings.candidates > 1:
        text += f", likeliest of {settings.candidates} candidates"
    if not settings.repeats:
        text += ", no repeats"
    if settings.symmetries:
        text += ", all symmetries"
    return text


def policy_maker(
    checkpoint: Path, settings: PolicySettings, *, device: str, explain: bool = False
) -> Callable[[], QPolicy]:
    """Return what makes the policy; picklable, so that each worker process loads its own. See `load_policy`."""
    return partial(load_policy, checkpoint, settings, device, explain=explain)


def load_policy(checkpoint: Path, settings: PolicySettings, device: str, *, explain: bool = False) -> QPolicy:
    """Return the policy of a checkpoint.

    Args:
        explain: with Q-values and value wherever the checkpoint has both models; decisions are the same, but slower.

    Raises:
        CheckpointError: partial, altered, foreign or of another version.
        InvalidSetting: the settings need a model that the checkpoint does not hold.
    """
    return QPolicy(load_checkpoint(checkpoint, device), settings, device, explain=explain)
