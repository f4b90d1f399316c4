"""The exit status and the one line on stderr, tried on the real program."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vlm_qsft.cli.main import COMMANDS, main


def qsft(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "vlm_qsft.cli.main", *words], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("trian",), "Command 'trian' is not known"),
        (("--preset",), "Flag '--preset' is not known"),
        (("demo", "--preset", "dmeo"), "Did you mean 'demo'?"),
        (("demo", "--persist"), "Flag '--persist' is not known in `qsft demo`"),
        (("inspect", "token", "x"), "Did you mean 'tokens'?"),
        (("inspect", "checkpoint", "no/such/folder"), "no/such/folder"),
        (("inspect", "episode", "no/such/folder", "0"), "no/such/folder"),
        (("evaluate", "no/such/folder", "--out", "x.jsonl"), "no/such/folder"),
        (("train", "behaviour", "--data", "d", "--out", "o"), "Did you mean 'behavior'?"),
        (("train", "behavior", "--data", "no/such/folder", "--out", "o"), "no/such/folder"),
        (("record", "--episodes", "none", "--out", "d"), "whole number"),
        (("record", "--task", "pik", "--out", "d"), "Did you mean 'pick'?"),
        (("record", "--qualities", "expert=0.5,poort=0.5", "--out", "d"), "Did you mean 'poor'?"),
        (("bench", "date"), "Did you mean 'data'?"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_what_the_user_can_mend_is_one_line_and_status_2(words: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    result = qsft(*words, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert expected in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_command_prints_the_overview() -> None:
    result = qsft()
    assert result.returncode == 0
    assert all(command in result.stdout for command in COMMANDS)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vlm_qsft.cli.main", "demo", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait() == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_interrupting_gives_status_130_and_says_that_it_continues(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "vlm_qsft.cli.main", "demo", "--preset", "smoke", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "smoke" in process.stdout.readline()  # it has begun
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    # Not the last line on every machine: a process that was beginning may still complain of its lost parent.
    assert any(line.startswith("Interrupted.") for line in complaint.splitlines()), complaint


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line_and_status_2() -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "vlm_qsft.cli.main", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "disk is full" in result.stderr


def test_a_folder_that_may_not_be_written_is_one_line_and_status_2() -> None:
    result = qsft("demo", "--preset", "smoke", "--out", "/sys/run")  # where not even root makes folders
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "/sys/run" in result.stderr


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "absent", "a command whose module does not exist")
    with pytest.raises(ModuleNotFoundError):
        main(["absent"])
