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

from .reading import ReadingProcess
from .writing import write_aloha, write_robomimic

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
Mutation = tuple[str, float, int, int]
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "remove", "copy", "number"]),
        st.floats(0.0, 1.0, exclude_max=True),
        st.integers(1, 64),
        st.integers(0, 2**64 - 1),
    ),
    min_size=1,
    max_size=8,
)


def mutated(content: bytes, mutations: list[Mutation]) -> bytes:
    changed = bytearray(content)
    for kind, place, length, number in mutations:
        at = int(place * len(changed))
        noise = (number.to_bytes(8, "little") * 8)[:length]
        if kind == "set":
            changed[at : at + 1] = noise[:1]
        elif kind == "insert":
            changed[at:at] = noise
        elif kind == "remove":
            del changed[at : at + length]
        elif kind == "copy":
            changed[at : at + length] = changed[number % (len(changed) or 1) :][:length]
        else:
            changed[at : at + 8] = number.to_bytes(8, "little")
    return bytes(changed)


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


def fuzz(seeds: list[bytes], reader: ReadingProcess, path: Path, n_examples: int) -> Counter[str]:
    endings: Counter[str] = Counter()

    @settings(max_examples=n_examples, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW)
    @given(st.integers(0, len(seeds) - 1), MUTATIONS)
    def check(seed: int, mutations: list[Mutation]) -> None:
        path.write_bytes(mutated(seeds[seed], mutations))
        answer = reader.ask(path)
        assert answer in ("read", "refused", "crashed", "hung"), answer
        endings[answer] += 1

    check()
    return endings


@pytest.mark.timeout(1200)
def test_a_few_mutated_files_are_read_or_refused(seeds: list[bytes], reader: ReadingProcess, tmp_path: Path) -> None:
    endings = fuzz(seeds, reader, tmp_path / "x.hdf5", 80)
    assert endings["refused"] > 5
    assert endings["crashed"] + endings["hung"] <= 3


@pytest.mark.fuzz
@pytest.mark.timeout(14400)
def test_many_mutated_files_are_read_or_refused(seeds: list[bytes], reader: ReadingProcess, tmp_path: Path) -> None:
    endings = fuzz(seeds, reader, tmp_path / "x.hdf5", 20_000)
    print(dict(endings))
    assert endings["crashed"] + endings["hung"] <= 0.005 * endings.total()
