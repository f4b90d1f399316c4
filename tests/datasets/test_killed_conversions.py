"""SIGKILL at random moments, one process or several, scripted logs and a real set: the bytes of an undisturbed run."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from vlm_qsft.data import DatasetReader
from vlm_qsft.errors import DatasetError

from .conversion_process import content, finish, start

EPISODES = 16
BAD = (3, 9)
SAMPLE = Path(__file__).resolve().parents[3] / "shared/data/rlds/bridge_dataset"
needs_sample = pytest.mark.skipif(
    not SAMPLE.is_dir(), reason="The third-party samples are not beside this repository (../shared/data)."
)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    (folder / "scripted.json").write_text(json.dumps({"episodes": EPISODES, "bad": BAD}))
    return folder


@pytest.fixture(scope="module")
def undisturbed(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return finish(logs, tmp_path_factory.mktemp("undisturbed") / "set", "1", "skip")


@pytest.fixture(scope="module")
def undisturbed_sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return finish(SAMPLE, tmp_path_factory.mktemp("undisturbed") / "sample", "1")


def killed_again_and_again(logs: Path, root: Path, words: list[str], *, kills: int, expected: dict[str, bytes]) -> None:
    """Kill a conversion until it has been killed often enough; finished ones begin anew. Then let it finish."""
    generator = random.Random(0)
    while kills:
        process = start(logs, root, *words)
        assert process.stdout is not None
        # After some episodes, or a moment into whatever follows: reading, staging, assembling, renaming.
        for _ in range(generator.choice((0, 1, 1, 2, 5))):
            process.stdout.readline()
        moment = time.monotonic() + generator.random() * 0.05
        while time.monotonic() < moment and process.poll() is None:
            pass
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills -= 1
        process.communicate()  # ends when the last worker has ended
        if (root / "meta").exists():
            assert content(root).items() >= expected.items()
            shutil.rmtree(root)
        elif root.exists():
            with pytest.raises(DatasetError, match=r"not finalized|is no data set"):
                DatasetReader(root)
    assert finish(logs, root, *words) == expected


@pytest.mark.parametrize(("workers", "kills"), [("1", 20), ("3", 5)])
@pytest.mark.timeout(900)
def test_kills_at_random_moments_end_in_the_same_bytes(
    workers: str, kills: int, logs: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    killed_again_and_again(logs, tmp_path / "set", [workers, "skip"], kills=kills, expected=undisturbed)


@needs_sample
@pytest.mark.timeout(900)
def test_kills_at_random_moments_of_a_real_set_end_in_the_same_bytes(
    tmp_path: Path, undisturbed_sample: dict[str, bytes]
) -> None:
    killed_again_and_again(SAMPLE, tmp_path / "set", ["3"], kills=5, expected=undisturbed_sample)


def test_three_workers_that_skip_bad_episodes_write_the_same_bytes_as_one(
    logs: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    assert finish(logs, tmp_path / "set", "3", "skip") == undisturbed


@needs_sample
@pytest.mark.parametrize("workers", ["2", "3", "5"])
def test_any_number_of_workers_writes_the_same_bytes_of_a_real_set_as_one(
    workers: str, tmp_path: Path, undisturbed_sample: dict[str, bytes]
) -> None:
    assert finish(SAMPLE, tmp_path / "set", workers) == undisturbed_sample
