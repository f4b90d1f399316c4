from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlm_qsft.cli.run_folder import RunFolder, open_run
from vlm_qsft.cli.summary import results_table
from vlm_qsft.data.folder_lock import FolderLock
from vlm_qsft.errors import DatasetError, InvalidSetting

SETTINGS: dict[str, Any] = {"recording": {"episodes": 10, "shares": (("expert", 1.0),)}}


def begin(root: Path, *, preset: str = "demo", episodes: int = 10, command: str = "first") -> RunFolder:
    settings = {"recording": {**SETTINGS["recording"], "episodes": episodes}}
    with FolderLock(root):
        return open_run(root, preset=preset, settings=settings, provenance={"command": command})


def test_a_new_run_writes_its_record(tmp_path: Path) -> None:
    record = json.loads(begin(tmp_path / "run").record.read_text())
    assert record["settings"]["recording"]["episodes"] == 10
    assert (record["preset"], record["command"]) == ("demo", "first")


def test_the_same_run_is_continued_and_keeps_its_first_record(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    record = json.loads(begin(tmp_path / "run", command="second").record.read_text())
    assert record["command"] == "first"


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    with pytest.raises(InvalidSetting, match=r"recording\.episodes was 10, is 12"):
        begin(tmp_path / "run", episodes=12)


def test_another_preset_is_refused(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    with pytest.raises(InvalidSetting, match="holds a run of preset 'demo', not 'gpu'"):
        begin(tmp_path / "run", preset="gpu")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidSetting, match=r"not empty \(thesis\.txt\) and was not begun by this command"):
        begin(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    begin(tmp_path).record.write_text("{")
    with pytest.raises(DatasetError, match=r"run\.json is no valid JSON"):
        begin(tmp_path)


def test_a_damaged_summary_is_named_with_the_remedy(tmp_path: Path) -> None:
    folder = begin(tmp_path)
    folder.summary.write_text('{"policies')
    with pytest.raises(DatasetError, match=r"summary\.json is no valid JSON.*Delete it: the same command writes it"):
        results_table(folder)


def test_a_run_that_was_killed_in_its_first_moment_is_begun_again(tmp_path: Path) -> None:
    for name in (".settings.json.4711.partial", ".run.json.4711.partial", ".lock"):
        (tmp_path / name).write_text("{")
    begin(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "settings.json", "stages"]
