"""Mutated HDF5 files: read, or refused by an error of ours.

They are read in a process of their own: the HDF5 library itself can crash or loop on damaged metadata, which no Python
code can turn into an error. Such endings are counted, and must stay rare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..mutations import INPUTS, MUTATIONS, Mutation, mutated
from .reading import ReadingProcess
from .writing import write_aloha, write_robomimic

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    paths = [
        write_robomimic(folder / "low_dim.hdf5", image=False),
        write_robomimic(folder / "libero.hdf5", libero=True),
        write_aloha(folder / "aloha.hdf5"),
    ]
    return [path.read_bytes() for path in paths]


@pytest.fixture(scope="module")
def reader() -> Iterator[ReadingProcess]:
    process = ReadingProcess()
    yield process
    process.close()


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
def test_mutated_files_are_read_or_refused(seeds: list[bytes], reader: ReadingProcess, tmp_path: Path) -> None:
    endings: Counter[str] = Counter()
    path = tmp_path / "x.hdf5"

    @settings(max_examples=INPUTS // 5, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW)
    @given(st.integers(0, len(seeds) - 1), MUTATIONS)
    def check(seed: int, mutations: list[Mutation]) -> None:
        path.write_bytes(mutated(seeds[seed], mutations))
        answer = reader.ask(path)
        assert answer in ("read", "refused", "crashed", "hung"), answer
        endings[answer] += 1

    check()
    assert endings["refused"] > 0.05 * endings.total()
    assert endings["crashed"] + endings["hung"] <= 3 + 0.005 * endings.total()
