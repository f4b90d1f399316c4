from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.training.backup_needs import backup_needs, horizon
from vlm_qsft.training.phase_record import agree_on_settings
from vlm_qsft.training.settings import TrainSettings

SETTINGS = TrainSettings(steps=10)


@pytest.mark.parametrize(
    ("field", "content"),
    [("steps", 0), ("batch_size", 0), ("gamma", 1.5), ("learning_rate", 0.0), ("validation_fraction", 0.0),
     ("n_step", 0), ("support", -0.1), ("patience", -1), ("warmup_fraction", 2.0)],
)  # fmt: skip
def test_a_number_outside_its_range_is_refused_by_name(field: str, content: float) -> None:
    with pytest.raises(InvalidSetting, match=field):
        replace(SETTINGS, **{field: content})


def test_a_batch_that_cannot_be_cut_into_equal_pieces_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="128 frames cannot be cut into 3"):
        replace(SETTINGS, accumulation=3)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'bfloat16'"):
        replace(SETTINGS, precision="bfloat")
    with pytest.raises(UnknownName, match="Did you mean 'monte_carlo'"):
        backup_needs(replace(SETTINGS, backup="montecarlo"), 3)
    with pytest.raises(UnknownName, match="Train setting 'tau' is not known"):
        TrainSettings.from_json({"steps": 1, "tau": 0.1})


def test_settings_survive_json() -> None:
    assert TrainSettings.from_json(SETTINGS.to_json()) == SETTINGS


def test_a_phase_does_not_compare_what_only_the_other_one_uses() -> None:
    other_q = replace(SETTINGS, gamma=0.5, backup="nstep", n_step=9)
    assert SETTINGS.compared("behavior") == other_q.compared("behavior")
    assert SETTINGS.compared("q") != other_q.compared("q")
    assert SETTINGS.compared("q") == replace(SETTINGS, patience=3).compared("q")


def test_only_the_n_step_backup_looks_beyond_an_action_chunk() -> None:
    assert horizon(replace(SETTINGS, backup="nstep", n_step=5), chunk=2) == 5
    assert horizon(replace(SETTINGS, backup="nstep", n_step=5), chunk=8) == 8
    assert horizon(replace(SETTINGS, backup="behavior", n_step=5), chunk=2) == 2


def test_a_folder_begun_with_other_settings_is_refused_with_every_difference(tmp_path: Path) -> None:
    agree_on_settings(tmp_path, {"train": {"steps": 10, "seed": 0}, "data": "a"})
    (tmp_path / "metrics.jsonl").touch()
    agree_on_settings(tmp_path, {"train": {"steps": 10, "seed": 0}, "data": "a"})
    with pytest.raises(InvalidSetting, match=r"data was a, is b now; train\.steps was 10, is 20 now"):
        agree_on_settings(tmp_path, {"train": {"steps": 20, "seed": 0}, "data": "b"})


def test_a_folder_in_which_nothing_was_trained_may_be_begun_anew(tmp_path: Path) -> None:
    agree_on_settings(tmp_path, {"steps": 10})
    agree_on_settings(tmp_path, {"steps": 20})
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(InvalidSetting, match="steps was 20, is 10 now"):
        agree_on_settings(tmp_path, {"steps": 10})


def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    theirs = tmp_path / "settings.json"
    theirs.write_text('{"editor.tabSize": 4}')
    with pytest.raises(InvalidSetting, match=r"not empty \(settings\.json\) and was not begun by this command"):
        agree_on_settings(tmp_path, {"steps": 10})
    assert theirs.read_text() == '{"editor.tabSize": 4}'
    theirs.unlink()
    (tmp_path / "checkpoint-500").mkdir()
    with pytest.raises(InvalidSetting, match=r"not empty \(checkpoint-500\)"):
        agree_on_settings(tmp_path, {"steps": 10})


def test_a_start_that_was_killed_while_it_wrote_the_record_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / ".settings.json.4711.partial").write_text("{")
    (tmp_path / ".lock").touch()
    agree_on_settings(tmp_path, {"steps": 10})


@pytest.mark.parametrize(("name", "number"), [("steps", 2**31), ("seed", 2**32), ("n_step", 10**20)])
def test_numbers_that_nothing_can_count_to_are_refused(name: str, number: int) -> None:
    changes: dict[str, Any] = {name: number}
    with pytest.raises(InvalidSetting, match=f"{name} must be at most"):
        replace(SETTINGS, **changes)
