"""An arm with two cameras in the test's own process: it follows joint trajectories as a trajectory controller does."""

from __future__ import annotations

import array
import threading
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

JOINTS: tuple[str, ...] = ("slide", "turn", "gripper")
JOINT_PERIOD_S = 0.01
PICTURE_PERIOD_S = 0.05


@dataclass(frozen=True)
class Point:
    """One point of a trajectory: seconds after its arrival, and position and velocity of each joint."""

    after_s: float
    positions: tuple[float, ...]
    velocities: tuple[float, ...]


@dataclass(frozen=True)
class Way:
    """One trajectory and when it came."""

    joints: tuple[str, ...]
    points: tuple[Point, ...]
    stamp_is_zero: bool
    at_s: float


def way_of(message: JointTrajectory) -> Way:
    stamp = message.header.stamp
    points = [
        Point(p.time_from_start.sec + p.time_from_start.nanosec * 1e-9, tuple(p.positions), tuple(p.velocities))
        for p in message.points
    ]
    return Way(tuple(message.joint_names), tuple(points), stamp.sec == stamp.nanosec == 0, time.monotonic())


@dataclass
class Faults:
    """What the arm does wrong, changed by the test."""

    joints_nan: bool = False
    joints_silent: bool = False
    silent: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    black: set[str] = field(default_factory=set)
    stamps_back_s: float = 0.0
    wrong_encoding: bool = False


class SlideArm(Node):
    """Joint states at 100 Hz, cameras "front" (raw) and "wrist" (compressed) at 20 Hz, 24 x 32 pixels with noise."""

    def __init__(self, *, cameras: tuple[str, ...] = ("front", "wrist")) -> None:
        super().__init__("slide_arm")
        self.faults = Faults()
        self.received: list[Way] = []
        self.changed = threading.Condition()
        self.start: dict[str, float] = dict.fromkeys(JOINTS, 0.0)
        self.noise = np.random.default_rng(0)
        self._ways: dict[str, Way] = {}
        self._cameras = cameras
        reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self.create_subscription(JointTrajectory, "joint_trajectory", self._follow, reliable)
        self.create_subscription(JointTrajectory, "gripper_trajectory", self._follow, reliable)
        self._joints = self.create_publisher(JointState, "joint_states", qos_profile_sensor_data)
        self._front = self.create_publisher(Image, "/camera/front/image_raw", qos_profile_sensor_data)
        self._wrist = self.create_publisher(
            CompressedImage, "/camera/wrist/image_raw/compressed", qos_profile_sensor_data
        )
        self.instruction = self.create_publisher(String, "/controller/instruction", 10)
        self.stop = self.create_publisher(Bool, "/controller/emergency_stop", 10)
        self.success = self.create_publisher(Bool, "task_success", 10)
        self.create_timer(JOINT_PERIOD_S, self._publish_joints)
        self.create_timer(PICTURE_PERIOD_S, self._publish_pictures)
        self.executor_ = SingleThreadedExecutor()
        self.executor_.add_node(self)
        self._thread = threading.Thread(target=self.executor_.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.executor_.shutdown(timeout_sec=5)
        self._thread.join(timeout=5)
        self.destroy_node()

    def position(self, joint: str) -> float:
        """Return where a joint is now: linearly between the points of its last trajectory, then at the last one."""
        way = self._ways.get(joint)
        if way is None:
            return self.start[joint]
        column = way.joints.index(joint)
        times = [0.0, *(point.after_s for point in way.points)]
        places = [self.start[joint], *(point.positions[column] for point in way.points)]
        return float(np.interp(time.monotonic() - way.at_s, times, places))

    @property
    def slide_ways(self) -> list[Way]:
        """The trajectories of the slide, oldest first."""
        return [way for way in self.received if way.joints[0] == "slide"]

    def slide_rests(self) -> bool:
        """Tell whether the last trajectory is at rest from its first point on."""
        way = self._ways.get("slide")
        return way is not None and not any(way.points[0].velocities)

    def _follow(self, message: JointTrajectory) -> None:
        with self.changed:
            way = way_of(message)
            for joint in way.joints:
                self.start[joint] = self.position(joint)
                self._ways[joint] = way
            self.received.append(way)
            self.changed.notify_all()

    def _stamp(self):
        stamp = self.get_clock().now().to_msg()
        stamp.sec -= round(self.faults.stamps_back_s)
        return stamp

    def _publish_joints(self) -> None:
        if self.faults.joints_silent:
            return
        positions = [self.position(joint) for joint in JOINTS]
        if self.faults.joints_nan:
            positions[1] = float("nan")
        message = JointState(name=list(JOINTS), position=positions)
        message.header.stamp = self._stamp()
        self._joints.publish(message)

    def _picture(self, camera: str) -> np.ndarray:
        if camera in self.faults.black:
            return np.zeros((24, 32, 3), np.uint8)
        generator = np.random.default_rng(7) if camera in self.faults.frozen else self.noise
        return generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)

    def _publish_pictures(self) -> None:
        for camera in self._cameras:
            if camera in self.faults.silent:
                continue
            picture = self._picture(camera)
            if camera == "front":
                self._front.publish(raw_image(picture, self._stamp(), wrong_encoding=self.faults.wrong_encoding))
            else:
                message = CompressedImage(format="jpeg")
                message.header.stamp = self._stamp()
                message.data = cv2.imencode(".jpg", picture)[1].tobytes()
                self._wrist.publish(message)


def raw_image(picture: np.ndarray, stamp, *, wrong_encoding: bool = False) -> Image:
    """Return a picture as a message whose bytes are BGR."""
    message = Image(height=24, width=32, step=96, encoding="32FC1" if wrong_encoding else "bgr8")
    message.header.stamp = stamp
    data = array.array("B")
    data.frombytes(picture.tobytes())
    message.data = data
    return message
