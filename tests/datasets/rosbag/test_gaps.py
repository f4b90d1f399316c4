"""What the resampler bridges is said with topic, time and length; what it cannot bridge is left out or refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.rosbag import open_source
from qsft_datasets.source import SourceEpisode
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import encode_jpeg

from .writing import START_NS, Sent, commands, compressed, flag, joint_state, text, write_bag

MS = 1_000_000


def joints(*times_ms: int) -> list[Sent]:
    return [Sent("/joints", START_NS + t * MS, joint_state(START_NS + t * MS, ["a"], [float(t)])) for t in times_ms]


def orders(*times_ms: int) -> list[Sent]:
    return [Sent("/orders", START_NS + t * MS, commands([float(t)])) for t in times_ms]


def read(
    path: Path, sent: list[Sent], following: tuple[str, ...] = (), observed: tuple[str, ...] = ("/joints:position",)
) -> SourceEpisode:
    sent = sorted(sent, key=lambda each: each.received_ns)
    source = open_source(write_bag(path, sent)).at_rate(Fraction(10), observed=observed, following=following)
    return source.read(source.references()[0])


def values(episode: SourceEpisode, path: str) -> list[float]:
    return np.asarray(episode.steps[path]).reshape(-1).tolist()


def test_a_steady_topic_has_no_gaps(tmp_path: Path) -> None:
    episode = read(tmp_path / "bag", joints(*range(0, 1001, 50)))
    assert (episode.length, episode.gaps) == (11, ())


def test_a_silence_is_held_and_reported_with_time_and_length(tmp_path: Path) -> None:
    episode = read(tmp_path / "bag", joints(*range(0, 501, 50), *range(950, 1501, 50)))
    assert values(episode, "/joints:position")[4:11] == [400, 500, 500, 500, 500, 500, 1000]
    assert episode.gaps == ("/joints at 0.500 s: no message for more than 0.200 s, 0.450 s",)


def test_a_slow_topic_is_measured_by_its_own_period(tmp_path: Path) -> None:
    assert read(tmp_path / "slow", joints(*range(0, 10_001, 500))).gaps == ()
    episode = read(tmp_path / "hole", joints(*range(0, 5001, 500), *range(7000, 10_001, 500)))
    assert episode.gaps == ("/joints at 5.000 s: no message for more than 1.500 s, 2.000 s",)


def test_a_late_start_and_an_early_end_cut_the_episode_and_are_reported(tmp_path: Path) -> None:
    sent = joints(*range(0, 3001, 50)) + orders(*range(1000, 2501, 50))
    episode = read(tmp_path / "bag", sent, ("/orders:data",))
    assert values(episode, "/joints:position") == list(range(1000, 2501, 100))
    assert episode.gaps == (
        "/orders at -1.000 s: begins late, what came before is left out, 1.000 s",
        "/orders at 1.500 s: ends early, what comes after is left out, 0.500 s",
    )


def test_seldom_commands_flags_and_texts_hold_to_the_end(tmp_path: Path) -> None:
    sent = joints(*range(0, 2001, 50)) + orders(0, 900)
    sent += [Sent("/task", START_NS, text("fold")), Sent("/closed", START_NS + 300 * MS, flag(True))]
    episode = read(tmp_path / "bag", sent, ("/orders:data",), ("/joints:position", "/task:data", "/closed:data"))
    assert episode.length == 18
    assert values(episode, "/orders:data") == [0.0] * 6 + [900.0] * 12
    assert episode.steps["/task:data"] == ["fold"] * 18
    assert episode.gaps == ("/closed at -0.300 s: begins late, what came before is left out, 0.300 s",)


def test_a_message_that_arrives_late_is_sorted_in_and_reported(tmp_path: Path) -> None:
    sent = joints(*range(0, 1001, 50))
    late = sent.pop(6)
    sent.append(Sent("/joints", late.received_ns + 120 * MS, late.message))
    episode = read(tmp_path / "bag", sent)
    assert values(episode, "/joints:position") == list(range(0, 1001, 100))
    assert episode.gaps == ("/joints at 0.300 s: stamped before its predecessor, 0.100 s",)


def test_a_clock_that_is_set_back_ends_the_episode_and_is_reported(tmp_path: Path) -> None:
    sent = joints(*range(0, 2001, 50))
    again = [
        Sent("/joints", START_NS + (2050 + t) * MS, joint_state(START_NS + (1050 + t) * MS, ["a"], [-1.0]))
        for t in range(0, 3001, 50)
    ]
    episode = read(tmp_path / "bag", sent + again)
    assert values(episode, "/joints:position") == list(range(0, 2001, 100))
    assert episode.gaps == (
        "/joints at 2.000 s: the clock is set back, the 61 messages after it are left out, 0.950 s",
    )


def test_stamps_of_another_clock_fall_back_to_receive_times_and_say_so(tmp_path: Path) -> None:
    simulated = [
        Sent("/joints", START_NS + t * MS, joint_state(7 * 10**9 + t * MS, ["a"], [float(t)]))
        for t in range(0, 1001, 50)
    ]
    episode = read(tmp_path / "bag", simulated + orders(*range(0, 1001, 50)), ("/orders:data",))
    assert values(episode, "/joints:position") == list(range(0, 1001, 100))
    assert len(episode.gaps) == 1
    assert "stamped by another clock than /orders; receive times serve for every topic" in episode.gaps[0]


def test_a_stamp_of_zero_means_the_time_of_receiving(tmp_path: Path) -> None:
    sent = [Sent("/joints", START_NS + t * MS, joint_state(0, ["a"], [float(t)])) for t in range(0, 501, 50)]
    episode = read(tmp_path / "bag", sent)
    assert values(episode, "/joints:position") == [0, 100, 200, 300, 400, 500]


def test_topics_that_never_meet_are_refused_with_their_times(tmp_path: Path) -> None:
    sent = joints(*range(0, 501, 50)) + orders(*range(900, 1501, 50))
    with pytest.raises(
        DatasetError,
        match=r"no time at which every topic is there: /orders:data begins at .*, /joints:position ends at",
    ):
        read(tmp_path / "bag", sent, ("/orders:data",))


def test_a_topic_that_is_not_taken_decides_nothing(tmp_path: Path) -> None:
    sent = joints(*range(0, 1001, 50)) + orders(500, 550)
    assert read(tmp_path / "bag", sent).length == 11


def test_many_gaps_are_summed_up(tmp_path: Path) -> None:
    times = [t for start in range(0, 30_000, 1000) for t in range(start, start + 301, 50)]
    gaps = read(tmp_path / "bag", joints(*times)).gaps
    assert len(gaps) == 21
    assert gaps[-1] == "/joints: no message for more than 0.200 s, 9 more times, 6.300 s in all"


def test_a_camera_that_dies_ends_the_episode(tmp_path: Path) -> None:
    picture = encode_jpeg(np.zeros((8, 8, 3), dtype=np.uint8))
    sent = joints(*range(0, 1001, 50))
    sent += [Sent("/camera", START_NS + t * MS, compressed(START_NS + t * MS, picture)) for t in range(0, 401, 40)]
    episode = read(tmp_path / "bag", sent, (), ("/joints:position", "/camera:data"))
    assert episode.length == 5
    assert episode.gaps == ("/camera at 0.400 s: ends early, what comes after is left out, 0.600 s",)
