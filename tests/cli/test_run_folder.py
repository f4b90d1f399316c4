from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlm_qsft.cli.run_folder import RunFolder, open_run
from vlm_qsft.errors import InvalidSetting

SETTINGS: dict[str, Any] = {"recording": {"episodes": 10, "shares": (("expert", 1.0),)}}


def begin(root: Path, *, preset: str = "demo", episodes: int = 10, command: str = "first") -> RunFolder:
    settings = {"recording": {**SETTINGS["recording"], "episodes": episodes}}
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
    with pytest.raises(InvalidSetting, match="holds no run"):
        begin(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
