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

from ..mutations import INPUTS, MUTATIONS, Mutation, mutated
from .writing import Sent, flag, image, make, record_arm, text, trajectory, write_bag

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]


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


@pytest.mark.fuzz
@pytest.mark.timeout(14400)
def test_mutated_bags_are_read_or_refused(seeds: list[tuple[str, bytes]], tmp_path: Path) -> None:
    endings: Counter[str] = Counter()
    bag = tmp_path / "plain"
    bag.mkdir()
    (bag / "plain.mcap").write_bytes(seeds[0][1])

    @settings(max_examples=INPUTS // 5, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW)
    @given(st.integers(0, len(seeds) - 1), MUTATIONS)
    def check(seed: int, mutations: list[Mutation]) -> None:
        name, content = seeds[seed]
        path = bag if name == "metadata.yaml" else tmp_path / name
        (bag / name if path == bag else path).write_bytes(mutated(content, mutations))
        endings[read_everything(path)] += 1

    check()
    assert endings["refused"] > 0.05 * endings.total()
