"""FolderLock: one process at a time, no trace of a lock that was given back, no trust in one of a killed process."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from vlm_qsft.data.folder_lock import FolderLock, contents
from vlm_qsft.errors import InUse, StorageError

HOLD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from vlm_qsft.data.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_is_held_by_one_and_left_without_a_trace(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with FolderLock(folder):
        with pytest.raises(InUse, match="new is being written by another process"):
            FolderLock(folder)
        assert contents(folder) == []
    assert list(folder.iterdir()) == []
    FolderLock(folder).release()


def test_the_lock_of_a_killed_process_holds_nobody_back(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", HOLD_AND_DIE, str(tmp_path)], env={"PYTHONPATH": ":".join(sys.path)})
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with FolderLock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_waits_is_told_and_gets_the_folder_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, told = FolderLock(tmp_path), []

    def hear(text: str, **_: object) -> None:
        told.append(text)
        first.release()

    monkeypatch.setattr(warnings, "warn", hear)
    with FolderLock(tmp_path, waits=True), pytest.raises(InUse):
        FolderLock(tmp_path)
    assert told == [f"Another process writes {tmp_path}: waiting for it."]


def test_a_file_in_the_place_of_a_folder_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=r"file.* could not be written.*Choose another folder"):
            FolderLock(folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_the_contents_of_a_folder_are_without_lock_and_half_written_files(tmp_path: Path) -> None:
    for name in (".lock", ".settings.json.123.partial", ".hidden", "settings.json"):
        (tmp_path / name).touch()
    assert [path.name for path in contents(tmp_path)] == [".hidden", "settings.json"]
    assert contents(tmp_path / "absent") == []
