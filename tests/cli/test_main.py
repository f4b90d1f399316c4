"""The exit status and the one line on stderr, tried on the real program."""

from __future__ import annotations

import errno
import os
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


def test_a_reader_that_leaves_early_is_told_by_the_status_alone() -> None:
    """What was asked for may not be complete: that is no success, and `head` needs no explanation."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "vlm_qsft.cli.main", "demo", "--help"]
    result = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


def test_interrupting_gives_status_130_and_says_that_it_continues(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "vlm_qsft.cli.main", "demo", "--preset", "smoke", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "smoke" in process.stdout.readline()  # it has begun
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate()
    assert process.returncode == 130, complaint
    assert complaint.strip().splitlines()[-1].startswith("Interrupted."), complaint


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


def test_sigterm_ends_as_ctrl_c_does(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "vlm_qsft.cli.main", "demo", "--preset", "smoke", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "smoke" in process.stdout.readline()
    process.terminate()
    _, complaint = process.communicate()
    assert process.returncode == 143, complaint
    assert complaint.strip().splitlines()[-1].startswith("Interrupted."), complaint


INTERRUPTED_WHERE_IT_IS_LOST = """
import signal, sys, threading
from vlm_qsft.cli import main

def interrupt():
    signal.raise_signal(int(sys.argv[2]))

class Finalised:
    def __del__(self):
        interrupt()

def run(words):
    if sys.argv[1] == "import":
        import module_that_is_interrupted
    else:
        Finalised()
    threading.Event().wait()

main._run = run
sys.exit(main.main(["demo"]))
"""

MODULE_THAT_IS_INTERRUPTED = """
try:
    __import__("__main__").interrupt()
except BaseException as problem:
    raise ImportError("initialization failed") from problem
"""


@pytest.mark.parametrize("place", ["import", "finaliser"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_that_would_be_lost_is_heard_all_the_same(
    place: str, number: signal.Signals, status: int, tmp_path: Path
) -> None:
    """While torch was imported the command went on as if nobody had pressed Ctrl-C, or ended with an ImportError."""
    (tmp_path / "module_that_is_interrupted.py").write_text(MODULE_THAT_IS_INTERRUPTED)
    words = [sys.executable, "-c", INTERRUPTED_WHERE_IT_IS_LOST, place, str(int(number))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in [str(tmp_path), *sys.path] if path)}
    ended = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert ended.returncode == status
    assert ended.stderr == "Interrupted. What was complete is kept: the same command continues.\n"


def test_closed_streams_never_become_a_file_of_the_run(tmp_path: Path, data: Path) -> None:
    """The first file that is opened takes the number of a closed stream, and what is printed goes into it."""
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    program = f"exec {sys.executable} -m vlm_qsft.cli.main inspect episode {data} 0 <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", program]).returncode == 0
    assert subprocess.run(["bash", "-c", program.replace(" 0 ", " 9 ")]).returncode == 2
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_what_the_terminal_cannot_show_is_escaped(checkpoint: Path, tmp_path: Path) -> None:
    folder = checkpoint.rename(tmp_path / "Türme")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "vlm_qsft.cli.main", "inspect", "checkpoint", str(folder)],
        capture_output=True, env=environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert b"rme" in result.stdout


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (MemoryError(), "Out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "Out of memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "Out of memory"),
        (OSError(errno.ENOTDIR, "Not a directory", "a/b"), "A file stands where a folder is needed"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (ModuleNotFoundError("No module named 'mujoco'", name="mujoco"), "pip install 'vlm-qsft[sim]'"),
    ],
)
def test_what_the_machine_lacks_is_one_line_and_status_2(
    problem: Exception, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(words: list[str]) -> None:
        raise problem

    monkeypatch.setattr("vlm_qsft.cli.main._run", fail)
    assert main(["demo"]) == 2
    complaint = capsys.readouterr().err
    assert expected in complaint and complaint.count("\n") == 1


def test_another_runtime_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(words: list[str]) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("vlm_qsft.cli.main._run", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        main(["demo"])
