from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.presets import PRESETS, preset_named


def test_an_unknown_preset_lists_the_presets() -> None:
    with pytest.raises(UnknownName, match=r"'smok' is not known. Valid: demo, gpu, smoke. Did you mean 'smoke'\?"):
        preset_named("smok")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_know_their_own_name_and_are_frozen(name: str) -> None:
    assert preset_named(name).name == name
    with pytest.raises(FrozenInstanceError):
        preset_named(name).seed = 1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ["demo", "gpu"])
def test_presets_whose_results_count_are_large_enough_to_count(name: str) -> None:
    preset = preset_named(name)
    assert preset.recording.episodes >= 1000
    assert preset.evaluation.episodes >= 200


@pytest.mark.parametrize("name", PRESETS)
def test_every_policy_gets_the_same_budget(name: str) -> None:
    preset = preset_named(name)
    budgets = {phase.steps * phase.batch_size for phase in (preset.behavior, preset.q, preset.sft_success)}
    assert len(budgets) == 1


@pytest.mark.parametrize(
    ("field", "wrong"), [("episodes", 1), ("image_size", 8), ("quality_shares", (("expert", 0.9),))]
)
def test_a_recording_outside_its_range_is_refused(field: str, wrong: object) -> None:
    with pytest.raises(InvalidSetting, match=field):
        replace(preset_named("smoke").recording, **{field: wrong})


def test_an_evaluation_without_anything_to_try_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="at least one setting"):
        replace(preset_named("smoke").evaluation, sft=())
