"""What the simulated robot senses as messages, and trajectory messages as what it follows."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from qsft_sim.joint_trajectory import JointTrajectory, TrajectoryPoint
from vlm_qsft.images import encode_png

NS = 10**9


def stamp_message(time_s: float) -> Time:
    """Return seconds as a stamp."""
    seconds, nanoseconds = divmod(round(time_s * NS), NS)
    return Time(sec=seconds, nanosec=nanoseconds)


def joint_message(
    names: Sequence[str], positions: np.ndarray, velocities: np.ndarray | None, stamp: Time
) -> JointState:
    """Return named numbers as joint states; without velocities where there are none."""
    message = JointState(name=list(names), position=positions.tolist())
    message.header.stamp = stamp
    if velocities is not None:
        message.velocity = velocities.tolist()
    return message


def image_message(picture: np.ndarray, stamp: Time, frame_id: str) -> Image:
    """Return an RGB picture as it is."""
    height, width, _ = picture.shape
    message = Image(height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.data = _bytes(np.ascontiguousarray(picture))
    return message


def compressed_message(picture: np.ndarray, stamp: Time, frame_id: str) -> CompressedImage:
    """Return an RGB picture as PNG: smaller, and the same to the bit."""
    message = CompressedImage(format="rgb8; png compressed bgr8")
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.data = _bytes(np.frombuffer(encode_png(picture), np.uint8))
    return message


def _bytes(pixels: np.ndarray) -> array.array:
    # Assigning an array.array of bytes is a copy of memory; an ndarray would be checked number by number.
    content = array.array("B")
    content.frombytes(pixels.data.cast("B"))
    return content


def trajectory_from(message: TrajectoryMessage) -> JointTrajectory:
    """Return what a trajectory message says; points without velocities have none."""
    stamp = message.header.stamp
    start_s = stamp.sec + stamp.nanosec / NS
    points = tuple(
        TrajectoryPoint(
            _seconds(point.time_from_start),
            np.array(point.positions, dtype=np.float64),
            np.array(point.velocities, dtype=np.float64) if len(point.velocities) else None,
        )
        for point in message.points
    )
    return JointTrajectory(tuple(message.joint_names), points, start_s if start_s > 0 else None)


def _seconds(duration: Duration) -> float:
    return duration.sec + duration.nanosec / NS
