"""Dead, frozen and blank inputs are found by arrival time and content, not by the sender's word."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlm_qsft.control import CameraInput, FaultKind, VectorInput, Watchdog
from vlm_qsft.errors import InvalidSetting, UnknownName

from .rig import picture


def joints_only() -> Watchdog:
    return Watchdog((VectorInput("joints", 2, max_age_s=0.1),))


def camera_only(**settings) -> Watchdog:
    return Watchdog((CameraInput("front", max_age_s=0.5, **settings),))


def kind(fault):
    return None if fault is None else fault.kind


def test_an_input_that_never_arrived_is_stale():
    fault = joints_only().check(5.0)
    assert kind(fault) is FaultKind.STALE_INPUT
    assert "'joints' never arrived" in str(fault)


def test_an_input_is_stale_one_moment_after_its_largest_age():
    watchdog = joints_only()
    assert watchdog.receive_vector("joints", np.zeros(2), 5.0) is None
    assert watchdog.check(5.1) is None
    assert kind(watchdog.check(5.1001)) is FaultKind.STALE_INPUT


def test_the_age_on_arrival_counts():
    watchdog = joints_only()
    watchdog.receive_vector("joints", np.zeros(2), 5.0, age_s=0.08)
    assert watchdog.age_s("joints", 5.01) == pytest.approx(0.09)
    assert kind(watchdog.check(5.03)) is FaultKind.STALE_INPUT


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, math.nan], FaultKind.NOT_FINITE),
        ([math.inf, 0.0], FaultKind.NOT_FINITE),
        ([1.0], FaultKind.WRONG_SIZE),
        ([[1.0, 2.0]], FaultKind.WRONG_SIZE),
    ],
)
def test_a_rejected_vector_is_a_fault_until_a_good_one_arrives(values, expected):
    watchdog = joints_only()
    watchdog.receive_vector("joints", np.zeros(2), 5.0)
    assert kind(watchdog.receive_vector("joints", np.array(values), 5.01)) is expected
    assert kind(watchdog.check(5.02)) is expected
    assert watchdog.receive_vector("joints", np.zeros(2), 5.03) is None
    assert watchdog.check(5.04) is None


def test_a_rejected_message_does_not_count_as_an_arrival():
    watchdog = joints_only()
    watchdog.receive_vector("joints", np.zeros(2), 5.0)
    watchdog.receive_vector("joints", np.full(2, math.nan), 5.09)
    assert watchdog.age_s("joints", 5.1) == pytest.approx(0.1)


def test_stamps_that_go_back_are_a_fault_and_the_next_sound_message_counts_again():
    watchdog = joints_only()
    watchdog.receive_vector("joints", np.zeros(2), 5.0, stamp_s=70.0)
    assert kind(watchdog.receive_vector("joints", np.zeros(2), 5.01, stamp_s=69.9)) is FaultKind.CLOCK_BACKWARDS
    assert watchdog.receive_vector("joints", np.zeros(2), 5.02, stamp_s=69.91) is None
    assert watchdog.check(5.03) is None


def test_a_message_without_a_stamp_between_does_not_hide_that_stamps_went_back():
    watchdog = joints_only()
    watchdog.receive_vector("joints", np.zeros(2), 5.0, stamp_s=70.0)
    assert watchdog.receive_vector("joints", np.zeros(2), 5.01) is None
    assert kind(watchdog.receive_vector("joints", np.zeros(2), 5.02, stamp_s=69.9)) is FaultKind.CLOCK_BACKWARDS


def test_an_arrival_before_the_last_arrival_is_a_clock_that_went_back():
    watchdog = joints_only()
    watchdog.receive_vector("joints", np.zeros(2), 5.0)
    assert kind(watchdog.receive_vector("joints", np.zeros(2), 4.0)) is FaultKind.CLOCK_BACKWARDS


@pytest.mark.parametrize("times", [{"stamp_s": math.nan}, {"age_s": math.nan}])
def test_a_time_that_is_not_a_number_is_a_fault(times):
    assert kind(joints_only().receive_vector("joints", np.zeros(2), 5.0, **times)) is FaultKind.NOT_FINITE


def test_everything_is_stale_at_a_time_that_is_not_a_number():
    watchdog = joints_only()
    watchdog.receive_vector("joints", np.zeros(2), 5.0)
    assert kind(watchdog.check(math.nan)) is FaultKind.STALE_INPUT


def test_a_picture_with_fresh_stamps_that_never_changes_is_frozen():
    watchdog = camera_only(frozen_after_s=1.0)
    for tick in range(12):
        assert watchdog.receive_picture("front", picture(7), 5.0 + 0.1 * tick, stamp_s=5.0 + 0.1 * tick) is None
        assert kind(watchdog.check(5.0 + 0.1 * tick)) is (FaultKind.FROZEN_PICTURE if tick > 10 else None)


def test_a_camera_that_sends_nothing_any_more_is_stale_and_not_frozen():
    watchdog = Watchdog((CameraInput("front", max_age_s=3.0, frozen_after_s=1.0),))
    for tick in range(10):
        watchdog.receive_picture("front", picture(7), 5.0 + 0.1 * tick)
    assert watchdog.check(8.0) is None
    assert kind(watchdog.check(9.0)) is FaultKind.STALE_INPUT


def test_one_changed_byte_is_a_living_picture():
    watchdog = camera_only(frozen_after_s=0.15)
    for tick in range(12):
        alive = picture(7)
        alive[3, 4, 1] = tick
        watchdog.receive_picture("front", alive, 5.0 + 0.1 * tick)
        assert watchdog.check(5.0 + 0.1 * tick) is None


def test_a_resting_scene_is_not_frozen_before_the_arm_moves():
    watchdog = camera_only(frozen_after_s=0.5, frozen_motion=0.02)
    for tick in range(20):
        watchdog.receive_picture("front", picture(7), 5.0 + 0.1 * tick, position=np.array([0.3, 0.0]))
    assert watchdog.check(6.95, position=np.array([0.31, 0.0])) is None
    assert kind(watchdog.check(6.95, position=np.array([0.3, 0.03]))) is FaultKind.FROZEN_PICTURE


def test_a_frozen_picture_can_be_allowed():
    watchdog = camera_only(frozen_after_s=None)
    for tick in range(100):
        watchdog.receive_picture("front", picture(7), 5.0 + 0.1 * tick)
    assert watchdog.check(14.95) is None


@pytest.mark.parametrize("shade", [0, 255, 90])
def test_a_picture_of_one_shade_is_blank(shade):
    fault = camera_only().receive_picture("front", np.full((4, 4, 3), shade, np.uint8), 5.0)
    assert kind(fault) is FaultKind.BLANK_PICTURE


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)])
def test_a_picture_that_is_not_uint8_or_empty_is_of_the_wrong_size(wrong):
    assert kind(camera_only().receive_picture("front", wrong, 5.0)) is FaultKind.WRONG_SIZE


def test_a_picture_that_is_a_view_with_strides_is_taken():
    assert camera_only().receive_picture("front", picture(1)[:, ::-1], 5.0) is None


def test_an_unknown_input_lists_the_inputs():
    with pytest.raises(UnknownName, match="joints"):
        joints_only().receive_vector("joint", np.zeros(2), 5.0)
    with pytest.raises(UnknownName, match="Camera 'joints' is not known"):
        joints_only().receive_picture("joints", picture(0), 5.0)
    with pytest.raises(UnknownName, match="Vector input 'front'"):
        camera_only().receive_vector("front", np.zeros(2), 5.0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: VectorInput("joints", 0, 0.1),
        lambda: VectorInput("joints", 2, 0.0),
        lambda: CameraInput("front", math.nan),
        lambda: CameraInput("front", 0.1, frozen_after_s=0.0),
        lambda: CameraInput("front", 0.1, frozen_motion=-1.0),
        lambda: CameraInput("front", 0.1, min_contrast=256),
        lambda: Watchdog((VectorInput("joints", 2, 0.1), VectorInput("joints", 2, 0.1))),
    ],
)
def test_an_input_that_could_never_be_judged_is_refused(build):
    with pytest.raises(InvalidSetting):
        build()
