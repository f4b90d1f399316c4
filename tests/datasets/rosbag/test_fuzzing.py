"""Mutated MCAP and db3 files and mutated metadata: read, or refused by an error of ours."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qsft_datasets.rosbag import open_source, recognise
from vlm_qsft.errors import QsftError

from .writing import Sent, flag, image, make, record_arm, text, trajectory, write_bag

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


def read_everything(path: Path) -> str:
    """Return "read" or "refused"; any other exception than ours is a defect."""
    recognise(path)
    try:
        source = open_source(path)
        paths = [each.path for each in source.description.features if each.kind != "bytes" and not each.per_episode]
        resampled = source.at_rate(Fraction(10), observed=paths[:-1], following=paths[-1:])
        for reference in resampled.references():
            resampled.read(reference)
    except QsftError:
        return "refused"
    return "read"


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """Return (name, content): an MCAP file with compressed chunks, one without, a db3, and metadata."""
    folder = tmp_path_factory.mktemp("seeds")
    arm = record_arm(length_s=0.2).sent
    at = arm[0].received_ns
    sent = [
        *arm,
        Sent("/episode", at, flag(True)),
        Sent("/episode/outcome", at + 10**8, text("success")),
        *(Sent("/raw", t, image(t, "bgr8", 2, 2, bytes(12), step=6)) for t in (at, at + 3 * 10**8)),
        *(Sent("/plan", t, trajectory(t, ["a"], [[1.0]])) for t in (at, at + 3 * 10**8)),
        Sent("/log", at, make("Log", make("Time", 0, 0), 20, "node", "hello", "", "", 0)),
    ]
    sent.sort(key=lambda each: each.received_ns)
    plain, packed = write_bag(folder / "plain", sent), write_bag(folder / "packed", sent, compression="storage")
    files = [next(plain.glob("*.mcap")), next(packed.glob("*.mcap"))]
    files.append(next(write_bag(folder / "sqlite", sent, "sqlite3").glob("*.db3")))
    seeds = [(f"x{each.suffix}", each.read_bytes()) for each in files]
    assert [read_everything(each) for each in files] == ["read"] * len(files)
    return [*seeds, ("metadata.yaml", (plain / "metadata.yaml").read_bytes())]


def fuzz(seeds: list[tuple[str, bytes]], folder: Path, n_examples: int) -> Counter[str]:
    endings: Counter[str] = Counter()
    bag = folder / "plain"
    bag.mkdir()
    (bag / "plain.mcap").write_bytes(seeds[0][1])

    @settings(max_examples=n_examples, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW)
    @given(st.integers(0, len(seeds) - 1), MUTATIONS)
    def check(seed: int, mutations: list[Mutation]) -> None:
        name, content = seeds[seed]
        path = bag if name == "metadata.yaml" else folder / name
        (bag / name if path == bag else path).write_bytes(mutated(content, mutations))
        endings[read_everything(path)] += 1

    check()
    return endings


@pytest.mark.timeout(1200)
def test_a_few_mutated_bags_are_read_or_refused(seeds: list[tuple[str, bytes]], tmp_path: Path) -> None:
    endings = fuzz(seeds, tmp_path, 80)
    assert endings["refused"] > 5


@pytest.mark.fuzz
@pytest.mark.timeout(14400)
def test_many_mutated_bags_are_read_or_refused(seeds: list[tuple[str, bytes]], tmp_path: Path) -> None:
    endings = fuzz(seeds, tmp_path, 20_000)
    print(dict(endings))
    assert endings.total() >= 20_000
