"""Sensors and arm of the ROS benchmark, as a process of their own: two cameras, joint states, a listener to commands.

    python benchmarks/ros_rig.py SECONDS OUT.json

Prints nothing; writes when every command arrived, on the steady clock, seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from qsft_controller import qos
from qsft_controller.image_messages import fill_image
from qsft_controller.node_process import make_executor
from vlm_qsft.policy import PolicyInterface
from vlm_qsft.types import Decision, Observation

CAMERAS = ("front", "wrist")
HEIGHT, WIDTH, CAMERA_HZ, JOINT_HZ = 480, 640, 30, 100
JOINTS = tuple(f"joint_{number}" for number in range(1, 8))
N_PICTURES = 8
"""Made before the start, so that their making is not measured; they differ, or the watchdog takes them for frozen."""
N_BINS = 64


class ScriptedPolicy:
    """Swings every joint by a hundredth of a rad to and fro; decides in no time."""

    interface = PolicyInterface(CAMERAS, JOINTS, JOINTS, 0.2)

    def __init__(self) -> None:
        self._count = 0

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        """Begin an episode."""

    def act(self, observation: Observation) -> Decision:
        """Decide from one observation, which must be whole."""
        assert all(observation.images[name].shape == (HEIGHT, WIDTH, 3) for name in CAMERAS)
        self._count += 1
        action = np.full((1, len(JOINTS)), 0.01 if self._count % 2 else -0.01, dtype=np.float32)
        scores = np.full((1, len(JOINTS), N_BINS), 1 / N_BINS, dtype=np.float32)
        return Decision(action, np.zeros(action.shape, np.int64), scores, scores, 0.5, 0.0, 0.0)


class Rig(Node):
    """The robot that the controller sees; its joints stand where they are told to."""

    def __init__(self) -> None:
        super().__init__("rig")
        self.arrivals_s: list[float] = []
        self._count = 0
        self._positions = [0.0] * len(JOINTS)
        generator = np.random.default_rng(0)
        self._pictures = [generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(N_PICTURES)]
        self._cameras = {
            name: self.create_publisher(Image, f"/camera/{name}/image_raw", qos.SENSOR) for name in CAMERAS
        }
        self._joints = self.create_publisher(JointState, "/joint_states", qos.SENSOR)
        self.create_subscription(JointTrajectory, "/joint_trajectory", self._follow, qos.COMMAND)
        self.create_timer(1 / CAMERA_HZ, self._look)
        self.create_timer(1 / JOINT_HZ, self._measure)

    def _look(self) -> None:
        self._count += 1
        for number, publisher in enumerate(self._cameras.values()):
            message = Image()
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = "camera"
            fill_image(message, self._pictures[(self._count + number) % N_PICTURES])
            publisher.publish(message)

    def _measure(self) -> None:
        message = JointState(name=list(JOINTS), position=self._positions)
        message.header.stamp = self.get_clock().now().to_msg()
        self._joints.publish(message)

    def _follow(self, message: JointTrajectory) -> None:
        self.arrivals_s.append(time.monotonic())
        self._positions = list(next(iter(message.points)).positions)


def main() -> int:
    """Run for the given time and write the arrivals."""
    seconds, out = float(sys.argv[1]), Path(sys.argv[2])
    rclpy.init()
    rig = Rig()
    executor = make_executor()
    executor.add_node(rig)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        executor.spin_once(timeout_sec=0.2)
    out.write_text(json.dumps(rig.arrivals_s))
    executor.remove_node(rig)
    rig.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
