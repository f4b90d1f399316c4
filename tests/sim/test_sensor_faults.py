from __future__ import annotations

import numpy as np
import pytest

from qsft_sim.sensor_faults import FaultySensor, Reading
from vlm_qsft.errors import InvalidSetting, UnknownName


def picture(brightness: int) -> np.ndarray:
    return np.full((2, 3, 3), brightness, np.uint8)


def delivered(sensor: FaultySensor, stamp_s: float, content: np.ndarray) -> list[tuple[float, float]]:
    """Return (stamp, first number) of everything that arrives."""
    return [(each.stamp_s, float(each.content.flat[0])) for each in sensor.deliver(Reading(stamp_s, content))]


def camera(fault: str = "none", delay_s: float = 0.5) -> FaultySensor:
    sensor = FaultySensor("front", is_camera=True)
    assert delivered(sensor, 1.0, picture(10)) == [(1.0, 10.0)]
    sensor.fail(fault, delay_s=delay_s)
    return sensor


def test_a_late_sensor_delivers_old_stamps_after_its_delay_in_order() -> None:
    sensor = camera("late", 0.5)
    assert delivered(sensor, 1.1, picture(11)) == []
    assert delivered(sensor, 1.3, picture(13)) == []
    assert delivered(sensor, 1.65, picture(16)) == [(1.1, 11.0)]
    assert delivered(sensor, 1.7, picture(17)) == []


@pytest.mark.parametrize("next_fault", ["none", "black"])
def test_what_waits_arrives_before_the_next_reading_once_a_sensor_is_late_no_more(next_fault: str) -> None:
    sensor = camera("late", 0.5)
    for stamp_s in (1.1, 1.3):
        assert delivered(sensor, stamp_s, picture(13)) == []
    sensor.fail(next_fault, delay_s=0.5)
    arrived = [stamp_s for stamp_s, _ in delivered(sensor, 1.4, picture(14))]
    assert arrived == [1.1, 1.3, 1.4]


def test_a_frozen_sensor_repeats_the_last_content_before_the_fault_with_fresh_stamps() -> None:
    sensor = camera("frozen")
    assert delivered(sensor, 1.1, picture(11)) == [(1.1, 10.0)]
    assert delivered(sensor, 1.2, picture(12)) == [(1.2, 10.0)]


def test_a_dropped_sensor_delivers_nothing_and_recovers() -> None:
    sensor = camera("dropped")
    assert delivered(sensor, 1.1, picture(11)) == []
    sensor.fail("none", delay_s=0.5)
    assert delivered(sensor, 1.2, picture(12)) == [(1.2, 12.0)]


def test_a_black_camera_delivers_pictures_of_the_same_shape_without_light() -> None:
    (reading,) = camera("black").deliver(Reading(1.1, picture(11)))
    np.testing.assert_array_equal(reading.content, np.zeros((2, 3, 3), np.uint8))


def test_joints_can_read_nan() -> None:
    sensor = FaultySensor("joints", is_camera=False)
    sensor.fail("not_finite", delay_s=1.0)
    (reading,) = sensor.deliver(Reading(1.0, np.arange(3.0)))
    assert reading.stamp_s == 1.0 and np.isnan(reading.content).all()


def test_a_clock_that_was_set_back_stamps_in_the_past() -> None:
    assert delivered(camera("clock_back", 0.4), 2.0, picture(20)) == [(1.6, 20.0)]


def test_a_clock_that_was_set_back_before_its_beginning_still_stamps() -> None:
    ((stamp_s, _),) = delivered(camera("clock_back", 3.0), 2.0, picture(20))
    assert 0.0 < stamp_s < 0.01, "zero says that a stamp was never set, which is no fault"


@pytest.mark.parametrize(("is_camera", "fault"), [(True, "not_finite"), (False, "black"), (True, "broken")])
def test_a_fault_that_a_sensor_cannot_have_is_refused_with_those_it_can(is_camera: bool, fault: str) -> None:
    with pytest.raises(UnknownName, match=r"Valid: .*frozen"):
        FaultySensor("sensor", is_camera=is_camera).fail(fault, delay_s=1.0)


def test_a_delay_must_be_a_time() -> None:
    with pytest.raises(InvalidSetting, match="positive number of seconds"):
        FaultySensor("sensor", is_camera=True).fail("late", delay_s=float("nan"))
