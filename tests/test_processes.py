from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vlm_qsft.errors import InvalidSetting, UnknownName, WorkerLost
from vlm_qsft.presets import preset_named
from vlm_qsft.processes import run_in_order, usable_cores

# Everything here is from importable modules: worker processes do not know the test's own functions.


@pytest.mark.parametrize(("content", "expected"), [("max 100000\n", None), ("50000 100000\n", 1)])
def test_a_quota_of_the_container_limits_the_cores(tmp_path: Path, content: str, expected: int | None) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(content)
    without = usable_cores(tmp_path / "absent")
    assert usable_cores(quota) == (without if expected is None else expected)


def test_results_come_in_the_order_of_the_jobs() -> None:
    make_runner = partial(partial, operator.mul, 3)
    assert list(run_in_order(make_runner, range(20), workers=2)) == [3 * number for number in range(20)]


def test_one_worker_and_a_single_job_run_in_this_process() -> None:
    assert list(run_in_order(lambda: lambda _: os.getpid(), [1, 2], workers=1)) == [os.getpid()] * 2
    assert list(run_in_order(lambda: lambda _: os.getpid(), [1], workers=2)) == [os.getpid()]


@pytest.mark.parametrize("workers", [1, 2])
def test_without_a_job_no_runner_is_made(workers: int) -> None:
    assert list(run_in_order(pytest.fail, [], workers=workers)) == []


def test_one_runner_does_all_the_jobs_of_a_process() -> None:
    made: list[int] = []
    list(run_in_order(lambda: made.append(1) or str, range(5), workers=1))
    assert made == [1]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_job_raises_is_told_as_it_is(workers: int) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'smoke'"):
        list(run_in_order(partial(partial, preset_named), ["demo", "smoky"], workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_making_a_runner_raises_is_told_and_not_taken_for_a_killed_worker(workers: int) -> None:
    cannot_be_made: Any = partial(preset_named, "smoky")
    with pytest.raises(UnknownName, match="Did you mean 'smoke'"):
        list(run_in_order(cannot_be_made, [1, 2], workers=workers))


def test_a_worker_that_dies_is_told_with_the_remedy() -> None:
    with pytest.raises(WorkerLost, match="fewer workers"):
        list(run_in_order(partial(partial, os._exit), [1, 1], workers=2))


def test_workers_leave_the_interrupt_of_the_terminal_to_the_main_process() -> None:
    make_runner = partial(partial, signal.pthread_sigmask, signal.SIG_BLOCK)
    blocked = list(run_in_order(make_runner, [(), ()], workers=2))
    assert all(signal.SIGINT in signals for signals in blocked)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


INTERRUPTED_WHILE_A_PROCESS_BEGINS = """
import multiprocessing.util, operator, os, select, signal, threading
from functools import partial
from vlm_qsft.processes import run_in_order

reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
other = threading.Thread(target=threading.Event().wait, daemon=True)
spawn = multiprocessing.util.spawnv_passfds

def spawn_and_interrupt(path, words, descriptors):
    process = spawn(path, words, descriptors)
    if WORD in words[-1] or WORD in words[-2]:
        # The other thread receives it, as the system chooses where the main one blocks it.
        signal.pthread_kill(other.ident, signal.SIGNAL)
        select.select([reader], [], [])
    return process

if __name__ == "__main__":
    other.start()
    multiprocessing.util.spawnv_passfds = spawn_and_interrupt
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        list(run_in_order(partial(partial, operator.mul, 3), range(4), workers=2))
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("word", ["resource_tracker", "spawn_main"])
def test_an_interrupt_while_a_process_begins_is_heard_once_it_has_begun(tmp_path: Path, name: str, word: str) -> None:
    """A worker that was not handed what it reads to begin complained, below the line that the user should read."""
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED_WHILE_A_PROCESS_BEGINS.replace("WORD", repr(word)).replace("SIGNAL", name))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # The workers hold the pipes too: run returns when they have ended.
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env=environment)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("interrupted\n", "", 0)


def test_workers_begin_with_one_thread_and_this_process_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"]
    assert list(run_in_order(partial(partial, os.getenv), names, workers=2)) == ["3", "1"]
    assert "MKL_NUM_THREADS" not in os.environ


def test_no_worker_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="at least 1"):
        list(run_in_order(lambda: str, [1], workers=0))
