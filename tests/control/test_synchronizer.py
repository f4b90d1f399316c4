"""Which messages belong together."""

from __future__ import annotations

import pytest

from vlm_qsft.control.synchronizer import Synchronizer
from vlm_qsft.errors import InvalidSetting, UnknownName


def filled() -> Synchronizer:
    """Joint states every 10 ms up to 1.00 s; cameras every 30 ms, the wrist 10 ms behind and last at 0.97 s."""
    synchronizer = Synchronizer({"joints": 50, "front": 4, "wrist": 4}, tolerance_s=0.025)
    for index in range(70, 101):
        synchronizer.add("joints", index / 100, f"j{index}")
    for index in (90, 93, 96, 99):
        synchronizer.add("front", index / 100, f"f{index}")
    for index in (91, 94, 97):
        synchronizer.add("wrist", index / 100, f"w{index}")
    return synchronizer


def test_the_slowest_input_leads_and_the_others_give_what_is_nearest_to_it() -> None:
    match = filled().match(0.0)
    assert match is not None
    assert match.values == {"joints": "j97", "front": "f96", "wrist": "w97"}
    assert (match.stamp_s, match.spread_s) == (0.96, pytest.approx(0.01))


def test_nothing_matches_before_every_message_is_as_new_as_asked() -> None:
    synchronizer = filled()
    assert synchronizer.match(0.965) is None
    synchronizer.add("wrist", 1.00, "w100")
    match = synchronizer.match(0.965)
    assert match is not None
    assert match.values == {"joints": "j99", "front": "f99", "wrist": "w100"}


def test_stamps_farther_apart_than_the_tolerance_do_not_match() -> None:
    synchronizer = Synchronizer({"joints": 5, "front": 5}, tolerance_s=0.02)
    synchronizer.add("joints", 1.0, "j")
    synchronizer.add("front", 1.03, "f")
    assert synchronizer.match(0.0) is None


def test_nothing_matches_while_an_input_is_missing() -> None:
    synchronizer = Synchronizer({"joints": 5, "front": 5}, tolerance_s=0.02)
    synchronizer.add("joints", 1.0, "j")
    assert synchronizer.match(0.0) is None


def test_a_sender_whose_clock_was_set_back_is_compared_by_its_new_time_only() -> None:
    synchronizer = filled()
    synchronizer.add("front", 0.5, "late")
    assert synchronizer.match(0.0) is None  # nothing else is from 0.5 s


def test_forgetting_drops_everything() -> None:
    synchronizer = filled()
    synchronizer.forget()
    assert synchronizer.match(0.0) is None


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(InvalidSetting):
        Synchronizer({}, tolerance_s=0.1)
    with pytest.raises(InvalidSetting):
        Synchronizer({"a": 0}, tolerance_s=0.1)
    with pytest.raises(InvalidSetting):
        Synchronizer({"a": 1}, tolerance_s=0.0)
    with pytest.raises(UnknownName, match=r"'wrist'.*Valid: front"):
        Synchronizer({"front": 1}, tolerance_s=0.1).add("wrist", 0.0, None)
