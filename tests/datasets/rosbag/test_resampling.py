"""Resampling against formulas that look at every message for every step."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsft_datasets.rosbag import open_source, resampling

from .writing import NAMES, Arm, record_arm, write_bag

RATES = [Fraction(10), Fraction(25, 2), Fraction(30000, 1001), Fraction(50)]
STAMPS = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).map(sorted)


def last_at_or_before(stamps: list[int], time: int) -> int:
    return max((index for index, stamp in enumerate(stamps) if stamp <= time), default=-1)


def first_until(stamps: list[int], time: int, next_time: int) -> int:
    answers = [index for index, stamp in enumerate(stamps) if time <= stamp < next_time]
    return answers[0] if answers else max((i for i, stamp in enumerate(stamps) if stamp < time), default=-1)


@given(STAMPS, st.integers(0, 10**9), st.sampled_from(RATES), st.integers(0, 10**7))
def test_steps_take_the_messages_that_a_search_for_every_step_finds(
    stamps: list[int], start: int, rate: Fraction, tolerance: int
) -> None:
    n_ticks = 12
    times = [start + int(Fraction(index * 10**9) / rate) for index in range(n_ticks + 1)]
    ticks = resampling.ticks(start, n_ticks, rate)
    assert ticks.tolist() == times[:-1]
    array = np.array(stamps)
    held = resampling.held(array, ticks, tolerance)
    assert held.tolist() == [last_at_or_before(stamps, time + tolerance) for time in times[:-1]]
    found = resampling.following(array, ticks, times[-1])
    assert found.tolist() == [first_until(stamps, a, b) for a, b in pairwise(times)]


@given(st.integers(0, 10**18), st.integers(-10, 10**10), st.sampled_from([*RATES, Fraction(7, 3)]))
def test_every_step_that_fits_is_counted_and_no_other(start: int, length: int, rate: Fraction) -> None:
    count = resampling.tick_count(start, start + length, rate)
    slow = 0
    while start + int(Fraction(slow * 10**9) / rate) <= start + length:
        slow += 1
    assert count == slow


@given(st.lists(st.integers(0, 1000), max_size=40))
def test_messages_without_a_set_back_clock_are_sorted_and_kept(stamps: list[int]) -> None:
    ordered = resampling.in_time_order(np.array(stamps, dtype=np.int64), limit_ns=1000)
    assert ordered.cut is None
    assert [stamps[index] for index in ordered.order] == sorted(stamps)
    assert sorted(ordered.order.tolist()) == list(range(len(stamps)))
    slow = [(stamp, max(stamps[: i + 1]) - stamp) for i, stamp in enumerate(stamps) if max(stamps[: i + 1]) > stamp]
    assert list(ordered.late) == slow


def test_a_clock_that_is_set_back_ends_the_topic() -> None:
    stamps = np.array([0, 10, 20, 30, 40, 5, 15, 25, 35, 45, 55], dtype=np.int64)
    ordered = resampling.in_time_order(stamps, limit_ns=15)
    assert ordered.order.tolist() == [0, 1, 2, 3, 4]
    assert ordered.cut == (40, 35, 6)


def test_a_stamp_that_leaps_ahead_does_not_stretch_the_topic() -> None:
    stamps = np.array([0, 10, 9999, 20, 30, 40, 50], dtype=np.int64)
    ordered = resampling.in_time_order(stamps, limit_ns=15)
    assert ordered.order.tolist() == [0, 1]
    assert ordered.cut == (9999, 9979, 4)


def expected(arm: Arm, rate: Fraction) -> tuple[list[int], int]:
    """Return the times of the steps by the contract: all topics have begun, none has ended."""
    topics = [arm.states, arm.pictures, arm.commands]
    start = max(min(stamp for stamp, _ in topic) for topic in topics)
    end = min(max(stamp for stamp, _ in topic) for topic in topics)
    times, index = [], 0
    while (time := start + int(Fraction(index * 10**9) / rate)) <= end:
        times.append(time)
        index += 1
    return times, start + int(Fraction(index * 10**9) / rate)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_an_arm_with_jitter_drops_and_swapped_frames_becomes_the_steps_of_the_slow_formula(
    tmp_path: Path, storage: str, rate: Fraction
) -> None:
    arm = record_arm()
    source = open_source(write_bag(tmp_path / "bag", arm.sent, storage)).at_rate(
        rate, observed=["/joint_states:position", "/camera/compressed:data"], following=["/arm/commands:data"]
    )
    episode = source.read(source.references()[0])
    times, after = expected(arm, rate)
    assert episode.length == len(times)
    states, pictures, commands = (sorted(topic, key=lambda each: each[0]) for topic in vars_of(arm))
    for step, (time, next_time) in enumerate(zip(times, [*times[1:], after], strict=True)):
        state = [value for stamp, value in states if stamp <= time][-1]
        picture = [value for stamp, value in pictures if stamp <= time][-1]
        answers = [value for stamp, value in commands if time <= stamp < next_time]
        before = [value for stamp, value in commands if stamp < time]
        assert np.asarray(episode.steps["/joint_states:position"])[step].tolist() == state
        assert episode.steps["/camera/compressed:data"][step] == picture  # type: ignore[index]
        assert np.asarray(episode.steps["/arm/commands:data"])[step].tolist() == (answers or before[-1:])[0]


def vars_of(arm: Arm) -> tuple[list, list, list]:
    return arm.states, arm.pictures, arm.commands


def test_joints_are_named_and_keep_their_type(tmp_path: Path) -> None:
    source = open_source(write_bag(tmp_path / "bag", record_arm(length_s=0.5).sent))
    feature = source.description.feature("/joint_states:position")
    assert (feature.names, feature.shape, feature.dtype) == (NAMES, (3,), "float64")


def test_a_command_at_the_time_of_a_step_answers_that_step_and_no_other() -> None:
    ticks = np.array([0, 100, 200])
    assert resampling.following(np.array([0, 100, 200]), ticks, 300).tolist() == [0, 1, 2]
    assert resampling.following(np.array([-5, 99]), ticks, 300).tolist() == [1, 1, 1]


def test_a_reference_topic_sets_the_first_step(tmp_path: Path) -> None:
    arm = record_arm()
    path = write_bag(tmp_path / "bag", arm.sent)
    paths = ["/joint_states:position", "/camera/compressed:data"]
    source = open_source(path, reference_topic="/camera/compressed").at_rate(Fraction(30), observed=paths)
    episode = source.read(source.references()[0])
    start = max(min(stamp for stamp, _ in arm.states), min(stamp for stamp, _ in arm.pictures))
    first = min(stamp for stamp, _ in arm.pictures if stamp >= start)
    state = max((stamp, value) for stamp, value in arm.states if stamp <= first)[1]
    assert np.asarray(episode.steps["/joint_states:position"])[0].tolist() == state


def test_a_tolerance_lets_a_step_see_what_comes_just_after(tmp_path: Path) -> None:
    arm = record_arm()
    path = write_bag(tmp_path / "bag", arm.sent)
    rate, paths = Fraction(30), ["/joint_states:position", "/camera/compressed:data"]
    source = open_source(path, tolerance_s=0.004).at_rate(rate, observed=paths)
    episode = source.read(source.references()[0])
    start = max(min(stamp for stamp, _ in arm.states), min(stamp for stamp, _ in arm.pictures))
    for step in range(episode.length):
        time = start + int(Fraction(step * 10**9) / rate) + 4_000_000
        state = max((stamp, value) for stamp, value in arm.states if stamp <= time)[1]
        assert np.asarray(episode.steps["/joint_states:position"])[step].tolist() == state
