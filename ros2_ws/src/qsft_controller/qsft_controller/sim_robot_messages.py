"""What the simulated robot senses as messages, and trajectory messages as what it follows."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from qsft_controller.image_messages import fill_image
from qsft_controller.stamps import NANOSECONDS, seconds
from qsft_sim.joint_trajectory import JointTrajectory, TrajectoryPoint
from vlm_qsft.images import encode_png


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
    message = Image()
    message.header.stamp, message.header.frame_id = stamp, frame_id
    fill_image(message, picture)
    return message


def compressed_message(picture: np.ndarray, stamp: Time, frame_id: str) -> CompressedImage:
    """Return an RGB picture as PNG: smaller, and the same to the bit."""
    message = CompressedImage(format="rgb8; png compressed bgr8")
    message.header.stamp, message.header.frame_id = stamp, frame_id
    # Assigning bytes would be checked number by number; an array.array is taken whole.
    message.data = array.array("B", encode_png(picture))
    return message


def trajectory_from(message: TrajectoryMessage) -> JointTrajectory:
    """Return what a trajectory message says; points without velocities have none."""
    start_s = seconds(message.header.stamp)
    points = tuple(
        TrajectoryPoint(
            point.time_from_start.sec + point.time_from_start.nanosec / NANOSECONDS,
            np.array(point.positions, dtype=np.float64),
            np.array(point.velocities, dtype=np.float64) if len(point.velocities) else None,
        )
        for point in message.points
    )
    return JointTrajectory(tuple(message.joint_names), points, start_s if start_s > 0 else None)
