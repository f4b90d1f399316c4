"""SIGKILL at any moment, any number of workers, a full disk while finalizing: the result has the same bytes."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vlm_qsft.data import DatasetReader, write_episodes
from vlm_qsft.errors import DatasetError

from .scripted import LABELS, SCHEMA, scripted_episode

SCRIPT = Path(__file__).with_name("record_scripted.py")
EPISODES = 24


def start(root: Path, workers: int, **settings) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(root), str(EPISODES), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("uninterrupted")
    write_episodes(root, SCHEMA, list(range(EPISODES)), scripted_episode, labels=LABELS)
    return content(root)


def test_two_workers_write_the_same_bytes_as_one(tmp_path: Path, uninterrupted: dict[str, bytes]):
    process = start(tmp_path, workers=2)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert content(tmp_path) == uninterrupted


def test_killed_again_and_again_it_continues_to_the_same_bytes(tmp_path: Path, uninterrupted: dict[str, bytes]):
    for kill_after in (1, 9, 17, EPISODES):
        process = start(tmp_path, workers=1)
        assert process.stdout is not None
        for line in process.stdout:
            if int(line.split()[0]) >= kill_after:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if not (tmp_path / "meta").exists():
            with pytest.raises(DatasetError, match=r"not finalized"):
                DatasetReader(tmp_path)
    process = start(tmp_path, workers=1)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert content(tmp_path) == uninterrupted


def test_workers_end_when_the_main_process_is_killed(tmp_path: Path):
    process = start(tmp_path, workers=2)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    # The workers inherited standard output: reading it returns when the last of them has ended.
    process.stdout.read()


def test_a_full_disk_while_finalizing_keeps_every_episode(tmp_path: Path, uninterrupted: dict[str, bytes]):
    largest_episode = 16_000
    process = start(
        tmp_path,
        workers=1,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_episode, largest_episode)),
    )
    _, errors = process.communicate()
    assert process.returncode == 2, errors
    assert errors.startswith("StorageError:") and errors.count("\n") == 1
    assert not (tmp_path / "meta").exists() and not (tmp_path / "staging/assembled").exists()
    process = start(tmp_path, workers=1)
    output, _ = process.communicate()
    assert output == ""
    assert content(tmp_path) == uninterrupted
