"""From presets to the settings of a policy, and to the file beside a checkpoint that keeps the chosen ones."""

from __future__ import annotations

import json
from pathlib import Path

from vlm_qsft.data.storage import remove_partials, write_durably
from vlm_qsft.policy import POLICY_FILE, PolicySettings
from vlm_qsft.presets import ExtractionPreset


def policy_settings(preset: ExtractionPreset) -> PolicySettings:
    """Return the settings that a preset tries.

    Raises:
        UnknownName, InvalidSetting: no such extraction, or a number outside its range.
    """
    return PolicySettings(
        extraction=preset.extraction,  # pyright: ignore[reportArgumentType] (checked by PolicySettings)
        temperature=preset.temperature,
        inverse_temperature=preset.inverse_temperature,
        support=preset.support,
    )


def store_choice(checkpoint: Path, settings: PolicySettings) -> None:
    """Write the chosen settings beside a checkpoint.

    Raises:
        StorageError: disk full.
    """
    remove_partials(checkpoint)
    write_durably(checkpoint / POLICY_FILE, json.dumps(settings.to_json(), indent=2).encode())
