"""Several episodes in one bag: boundaries and outcomes by topics."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsft_datasets.rosbag import open_source
from qsft_datasets.rosbag.source import RosbagSource
from vlm_qsft.errors import DatasetError, UnknownName
from vlm_qsft.images import encode_png

from .writing import START_NS, Sent, commands, compressed, flag, joint_state, text, write_bag

MS = 1_000_000
ORDERS = ("/orders:data",)


def recording(marks: list[tuple[int, str, Any]], length_ms: int = 4000) -> list[Sent]:
    sent = []
    for t in range(0, length_ms + 1, 50):
        stamp = START_NS + t * MS
        sent += [Sent("/joints", stamp, joint_state(stamp, ["a"], [float(t)])), Sent("/orders", stamp, commands([t]))]
    sent += [Sent(topic, START_NS + t * MS, message) for t, topic, message in marks]
    return sorted(sent, key=lambda each: each.received_ns)


def positions(source: RosbagSource) -> list[list[float]]:
    source = source.at_rate(Fraction(10), observed=["/joints:position"], following=ORDERS)
    episodes = [source.read(reference) for reference in source.references()]
    return [np.asarray(episode.steps["/joints:position"]).reshape(-1).tolist() for episode in episodes]


def facts(source: RosbagSource) -> list[dict]:
    source = source.at_rate(Fraction(10), observed=["/joints:position"], following=ORDERS)
    return [dict(source.read(reference).episode) for reference in source.references()]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_flags_cut_a_bag_into_episodes(tmp_path: Path, storage: str) -> None:
    marks = [(500, "/episode", flag(True)), (1200, "/episode", flag(False)), (2000, "/episode", flag(True))]
    source = open_source(write_bag(tmp_path / "bag", recording(marks), storage))
    assert [reference.key for reference in source.references()] == ["bag#0", "bag#1"]
    assert positions(source) == [list(range(500, 1201, 100)), list(range(2000, 4001, 100))]


def test_words_cut_a_bag_label_its_episodes_and_tell_their_outcome(tmp_path: Path) -> None:
    marks = [
        (500, "/episode", text("start: pick up the red cube")),
        (1200, "/episode", text("success")),
        (1500, "/episode", text("Begin pour")),
        (1900, "/episode", text("failure spilled")),
        (2000, "/episode", text("start")),
        (3000, "/episode", text("start fold")),
        (3500, "/episode", text("stop")),
    ]
    source = open_source(write_bag(tmp_path / "bag", recording(marks)))
    assert source.description.feature("episode:label").per_episode
    assert source.description.feature("episode:success").dtype == "bool"
    assert facts(source) == [
        {"episode:label": "pick up the red cube", "episode:success": True},
        {"episode:label": "pour", "episode:success": False},
        {},
        {"episode:label": "fold"},
    ]
    assert [values[0] for values in positions(source)] == [500, 1500, 2000, 3000]
    assert [values[-1] for values in positions(source)] == [1200, 1900, 3000, 3500]


def test_an_outcome_speaks_of_the_episode_that_began_last(tmp_path: Path) -> None:
    marks = [
        (100, "/done", flag(True)),
        (500, "/take", flag(True)),
        (1200, "/take", flag(False)),
        (1400, "/done", flag(True)),
        (2000, "/take", flag(True)),
        (3000, "/take", flag(False)),
        (3100, "/done", flag(False)),
    ]
    path = write_bag(tmp_path / "bag", recording(marks))
    source = open_source(path, episode_topic="/take", outcome_topic="/done")
    assert facts(source) == [{"episode:success": True}, {"episode:success": False}]


def test_an_outcome_without_markers_speaks_of_the_whole_bag(tmp_path: Path) -> None:
    source = open_source(write_bag(tmp_path / "bag", recording([(3900, "/episode/outcome", text("Failure"))])))
    assert [reference.key for reference in source.references()] == ["bag"]
    assert facts(source) == [{"episode:success": False}]


def test_what_was_said_before_an_episode_still_holds_in_it(tmp_path: Path) -> None:
    marks = [
        (0, "/task", text("fold")),
        (0, "/grip", commands([7.0])),
        (2500, "/episode", flag(True)),
        (3000, "/episode", flag(False)),
    ]
    sent = recording(marks, 12_000)
    later = [(8000, "/episode", flag(True)), (8500, "/episode", flag(False))]
    sent = sorted(
        sent + [Sent(topic, START_NS + t * MS, m) for t, topic, m in later], key=lambda each: each.received_ns
    )
    source = open_source(write_bag(tmp_path / "bag", sent)).at_rate(
        Fraction(10), observed=["/joints:position", "/task:data"], following=["/grip:data"]
    )
    second = source.read(source.references()[1])
    assert second.steps["/task:data"] == ["fold"] * 6
    assert np.asarray(second.steps["/grip:data"]).reshape(-1).tolist() == [7.0] * 6
    assert second.gaps == ()


def test_pictures_of_an_episode_are_those_of_its_time(tmp_path: Path) -> None:
    encoded = {t: encode_png(np.full((2, 2, 3), t // 100, dtype=np.uint8)) for t in range(0, 20_001, 100)}
    sent = recording([(9000, "/episode", flag(True)), (9500, "/episode", flag(False))], 20_000)
    sent += [
        Sent("/camera", START_NS + (t + 3) * MS, compressed(START_NS + t * MS, each)) for t, each in encoded.items()
    ]
    path = write_bag(tmp_path / "bag", sorted(sent, key=lambda each: each.received_ns))
    source = open_source(path).at_rate(Fraction(10), observed=["/camera:data"], following=ORDERS)
    episode = source.read(source.references()[0])
    assert episode.steps["/camera:data"] == [encoded[t] for t in range(9000, 9501, 100)]


def test_a_marker_or_outcome_that_is_none_is_refused(tmp_path: Path) -> None:
    marked = write_bag(tmp_path / "a", recording([(500, "/episode", text("maybe"))]))
    with pytest.raises(DatasetError, match=r"a has the episode marker 'maybe'; expected it to begin with one of start"):
        open_source(marked).references()
    judged = write_bag(tmp_path / "b", recording([(500, "/episode/outcome", text("maybe"))]))
    with pytest.raises(DatasetError, match=r"b has the outcome 'maybe'; expected one of success"):
        open_source(judged).references()


def test_a_marker_topic_that_is_missing_or_of_another_type_is_refused(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", recording([]))
    with pytest.raises(UnknownName, match=r"Topic '/joint' is not known .*Did you mean '/joints'"):
        open_source(path, episode_topic="/joint").references()
    with pytest.raises(DatasetError, match=r"/joints of .* is sensor_msgs/msg/JointState; expected one of std_msgs"):
        open_source(path, episode_topic="/joints").references()


def test_a_topic_named_episode_of_another_type_marks_nothing(tmp_path: Path) -> None:
    sent = recording([(500, "/episode", commands([1.0]))])
    assert [reference.key for reference in open_source(write_bag(tmp_path / "bag", sent)).references()] == ["bag"]
