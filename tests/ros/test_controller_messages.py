"""Commands, joint states and pictures as messages, without a node."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image, JointState

from qsft_controller.command_messages import forward_position, joint_trajectory, twist
from qsft_controller.image_messages import CompressedPicture, RawPicture, fill_image, picture_from
from qsft_controller.joint_states import JointStates
from qsft_controller.stamps import seconds, stamp_at
from vlm_qsft import images
from vlm_qsft.control import Command
from vlm_qsft.control.stopping_way import WayPoint
from vlm_qsft.errors import DatasetError, ShapeMismatch, UnknownName

NOISE = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def command(target: list[float], velocity: list[float]) -> Command:
    return Command("move", np.array(target), np.array(velocity), 0.0, None)


def test_a_trajectory_names_its_joints_and_gives_position_velocity_and_time_of_every_point() -> None:
    way = (
        WayPoint(0.05, np.array([0.1, 9.0, 0.3]), np.array([0.5, 9.0, -0.5])),
        WayPoint(1.25, np.array([0.2, 9.0, 0.2]), np.zeros(3)),
    )
    message = joint_trajectory(way, ("a", "c"), (0, 2))
    assert list(message.joint_names) == ["a", "c"]
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
    first, last = message.points
    assert list(first.positions) == [0.1, 0.3] and list(first.velocities) == [0.5, -0.5]
    assert list(last.positions) == [0.2, 0.2] and list(last.velocities) == [0.0, 0.0]
    assert (first.time_from_start.sec, first.time_from_start.nanosec) == (0, 50_000_000)
    assert (last.time_from_start.sec, last.time_from_start.nanosec) == (1, 250_000_000)


def test_a_forward_command_is_the_set_point_also_in_a_hold_and_never_zeros() -> None:
    hold = Command("hold", np.array([0.4, -0.2]), np.zeros(2), 0.0, None)
    assert list(forward_position(hold, (1, 0)).data) == [-0.2, 0.4]


def test_a_twist_is_the_velocity_of_the_tool_in_the_frame_of_the_base() -> None:
    # Turned by 90 degrees about z, a further turn about the tool's own way of pitching: yaw and roll rates mix.
    sent = command([0.1, 0.2, 0.3, 0.0, 0.0, math.pi / 2], [0.01, 0.0, -0.02, 0.4, 0.0, 0.0])
    message = twist(sent, range(6), period_s=0.001, stamp_s=12.5, frame_id="base")
    assert (message.header.frame_id, seconds(message.header.stamp)) == ("base", 12.5)
    linear, angular = message.twist.linear, message.twist.angular
    assert (linear.x, linear.y, linear.z) == (0.01, 0.0, -0.02)
    # Rz(90 degrees) takes the roll about x to a turn about y.
    assert (angular.x, angular.y, angular.z) == pytest.approx((0.0, 0.4, 0.0), abs=1e-6)


def test_axes_that_a_twist_does_not_have_stay_zero_and_a_hold_at_rest_is_no_velocity() -> None:
    message = twist(command([0.1, 0.7], [0.0, 0.0]), (0, -1, -1, -1, -1, 1), period_s=0.05, stamp_s=0.0, frame_id="b")
    numbers = [getattr(part, name) for part in (message.twist.linear, message.twist.angular) for name in "xyz"]
    assert numbers == pytest.approx([0.0] * 6, abs=1e-12)


def joints(names: list[str], positions: list[float]) -> JointState:
    return JointState(name=names, position=positions)


def test_joint_states_of_arm_and_gripper_that_come_apart_make_one_reading() -> None:
    states = JointStates(("elbow", "finger"))
    assert states.receive(joints(["elbow", "wrist"], [0.1, 0.2])) is None
    assert states.missing == ("finger",)
    reading = states.receive(joints(["finger"], [0.03]))
    assert reading is not None
    assert reading.position == {"elbow": 0.1, "wrist": 0.2, "finger": 0.03}
    # The next reading needs both again: a gripper that has died does not live on in the messages of the arm.
    assert states.receive(joints(["elbow", "wrist"], [0.3, 0.4])) is None
    with pytest.raises(ShapeMismatch, match="2 names has 1 numbers of position"):
        states.receive(joints(["elbow", "wrist"], [0.3]))


def test_a_raw_picture_survives_its_message() -> None:
    message = Image()
    fill_image(message, NOISE)
    picture = picture_from(message)
    assert isinstance(picture, RawPicture)
    np.testing.assert_array_equal(picture.rgb(), NOISE)
    changed = NOISE.copy()
    changed[7, 7, 1] ^= 1
    other = Image()
    fill_image(other, changed)
    assert picture_from(other).fingerprint != picture.fingerprint


def test_a_compressed_picture_is_decoded_when_a_policy_looks_and_judged_by_its_brightness() -> None:
    message = CompressedImage(format="jpeg")
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 48, axis=0).repeat(3, axis=2)
    message.data = images.encode_jpeg(ramp)
    picture = picture_from(message)
    assert isinstance(picture, CompressedPicture)
    assert picture.brightness.shape == (6, 8)
    np.testing.assert_allclose(picture.rgb().astype(int), ramp, atol=6)
    assert np.ptp(picture.brightness) > 200
    message.data = images.encode_jpeg(np.full((48, 64, 3), 90, np.uint8))
    assert np.ptp(picture_from(message).brightness) == 0


def test_what_is_no_picture_is_an_error() -> None:
    with pytest.raises(DatasetError):
        picture_from(CompressedImage(format="jpeg"))
    message = Image()
    fill_image(message, NOISE)
    message.step += 1
    with pytest.raises(ShapeMismatch):
        picture_from(message)
    message.encoding = "rgb9"
    with pytest.raises(UnknownName, match="Did you mean 'rgb8'"):
        picture_from(message)


@pytest.mark.parametrize("time_s", [0.0, 0.999999999, 1795411823.25])
def test_stamps_keep_their_time(time_s: float) -> None:
    assert seconds(stamp_at(time_s)) == pytest.approx(time_s, abs=1e-6)
