"""The robot of the ROS benchmark: cameras and arm, each a process of its own as on a robot, and the scripted policy.

python benchmarks/ros_rig.py cameras
python benchmarks/ros_rig.py arm OUT.json      on SIGINT writes when every command came, steady s, and its speed
python benchmarks/ros_rig.py clock OUT.json    on SIGINT writes when a loop that does nothing woke up, steady s
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from qsft_controller import qos
from qsft_controller.image_messages import fill_image
from qsft_controller.node_process import run
from vlm_qsft.policy import PolicyInterface
from vlm_qsft.types import Decision, Observation

CAMERAS = ("front", "wrist")
HEIGHT, WIDTH, CAMERA_HZ, JOINT_HZ = 480, 640, 30, 100
JOINTS = tuple(f"joint_{number}" for number in range(1, 8))
STEP_S = 0.2
ARM_PRIORITY = 60
CLOCK_PERIOD_S = 0.1
N_PICTURES = 8
"""Made before the start, so that their making is not measured; they differ, or the watchdog takes them for frozen."""
N_BINS = 64


class ScriptedPolicy:
    """Swings every joint by a hundredth of a rad to and fro; decides in no time."""

    interface = PolicyInterface(CAMERAS, JOINTS, JOINTS, STEP_S)

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


class Cameras(Node):
    """Both cameras, at the same moment."""

    def __init__(self) -> None:
        super().__init__("cameras")
        self._count = 0
        generator = np.random.default_rng(0)
        self._pictures = [generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(N_PICTURES)]
        self._publishers_by_name = {
            name: self.create_publisher(Image, f"/camera/{name}/image_raw", qos.SENSOR) for name in CAMERAS
        }
        self.create_timer(1 / CAMERA_HZ, self._look)

    def _look(self) -> None:
        self._count += 1
        for number, publisher in enumerate(self._publishers_by_name.values()):
            message = Image()
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = "camera"
            fill_image(message, self._pictures[(self._count + number) % N_PICTURES])
            publisher.publish(message)


class Arm(Node):
    """Joints that stand where they are told to, and the times at which they were told."""

    def __init__(self, out: Path) -> None:
        super().__init__("arm")
        self._out, self._arrivals = out, []
        self._positions = [0.0] * len(JOINTS)
        self._joints = self.create_publisher(JointState, "/joint_states", qos.SENSOR)
        self.create_subscription(JointTrajectory, "/joint_trajectory", self._follow, qos.COMMAND)
        self.create_timer(1 / JOINT_HZ, self._measure)
        gc.freeze()  # the measuring instrument must not pause

    def destroy_node(self) -> None:
        """Write the arrivals too."""
        self._out.write_text(json.dumps(self._arrivals))
        super().destroy_node()

    def _measure(self) -> None:
        message = JointState(name=list(JOINTS), position=self._positions)
        message.header.stamp = self.get_clock().now().to_msg()
        self._joints.publish(message)

    def _follow(self, message: JointTrajectory) -> None:
        point = next(iter(message.points))
        self._arrivals.append((time.monotonic(), max(map(abs, point.velocities))))
        self._positions = list(point.positions)


def keep_time(out: Path) -> int:
    """Wake up once a period and do nothing else: nothing is more punctual on this machine."""
    woke: list[float] = []
    due = time.monotonic()
    try:
        while True:
            due += CLOCK_PERIOD_S
            time.sleep(max(0.0, due - time.monotonic()))
            woke.append(time.monotonic())
    except KeyboardInterrupt:
        out.write_text(json.dumps(woke))
    return 0


def main() -> int:
    """Run one of the three until it is told to end."""
    if sys.argv[1] != "cameras":
        # The measuring instrument must not be late itself, where this user may ask for that.
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(ARM_PRIORITY))
    if sys.argv[1] == "clock":
        return keep_time(Path(sys.argv[2]))
    return run(Cameras if sys.argv[1] == "cameras" else partial(Arm, Path(sys.argv[2])))


if __name__ == "__main__":
    sys.exit(main())
