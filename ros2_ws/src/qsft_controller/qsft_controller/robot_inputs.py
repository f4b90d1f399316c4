"""What a robot sends, from its topics into the controller and the synchronizer."""

from __future__ import annotations

from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Header

from qsft_controller import qos
from qsft_controller.controller_parameters import checked_choice
from qsft_controller.image_messages import picture_from
from qsft_controller.joint_states import JointStates
from qsft_controller.parameters import flag, number, text
from qsft_controller.stamps import ControlClock, seconds
from vlm_qsft.control import MEASUREMENT, Fault, FaultKind
from vlm_qsft.control.kinematics import rotation_from_quaternion, rotation_from_turn, turn_from_rotation
from vlm_qsft.control.robot import POSE, FittedRobot
from vlm_qsft.control.synchronizer import Match, Synchronizer
from vlm_qsft.errors import QsftError

VECTOR_DEPTH = 128
"""Joint states that are kept: 0.25 s of 500 Hz, more than the slowest usual camera takes for a picture."""

PICTURE_DEPTH = 4


class RobotInputs:
    """The subscriptions of one robot."""

    def __init__(self, node: Node, robot: FittedRobot, clock: ControlClock) -> None:
        """Subscribe `joint_states`, the cameras and, where it is needed, `end_effector_pose`."""
        self._node, self._robot, self._clock = node, robot, clock
        settings = robot.settings
        self._joints = JointStates(settings.joint_names)
        self._trusts_stamps = flag(node, "trust_stamps")
        self._pose: np.ndarray | None = None
        self._reference = rotation_from_turn(np.array(settings.reference_turn_rad))
        depths = {MEASUREMENT: VECTOR_DEPTH, **dict.fromkeys(robot.interface.cameras, PICTURE_DEPTH)}
        if settings.needs_pose:
            depths[POSE] = VECTOR_DEPTH
        self._synchronizer = Synchronizer(depths, tolerance_s=number(node, "synchronization_tolerance_s"))
        self._subscriptions: list[Subscription] = [
            node.create_subscription(JointState, "joint_states", self._on_joints, qos.SENSOR)
        ]
        if settings.needs_pose:
            self._subscriptions.append(
                node.create_subscription(PoseStamped, "end_effector_pose", self._on_pose, qos.SENSOR)
            )
        for camera in settings.cameras:
            self._subscriptions.append(self._subscribe_camera(camera.name))

    @property
    def missing_joints(self) -> tuple[str, ...]:
        """Joints that the robot has not sent since the last complete measurement."""
        return self._joints.missing

    def match(self, not_before_s: float) -> Match | None:
        """Return the newest messages that belong together; see `Synchronizer.match`."""
        return self._synchronizer.match(not_before_s)

    def close(self) -> None:
        """Take the subscriptions away."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe_camera(self, name: str):
        topic = text(self._node, f"camera.{name}.topic")
        if checked_choice(self._node, f"camera.{name}.transport", ("raw", "compressed")) == "raw":
            return self._node.create_subscription(Image, topic, partial(self._on_picture, name), qos.SENSOR)
        compressed = f"{topic}/compressed"
        return self._node.create_subscription(CompressedImage, compressed, partial(self._on_picture, name), qos.SENSOR)

    def _arrival(self, header: Header) -> tuple[float, float | None, float]:
        """Return arrival and age on the control clock, and the stamp; a stamp of zero was never set."""
        now_s, stamp_s = self._clock.now_s(), seconds(header.stamp)
        if stamp_s == 0.0:
            return now_s, None, 0.0
        age_s = max(self._clock.ros_now_s() - stamp_s, 0.0) if self._trusts_stamps else 0.0
        return now_s, stamp_s, age_s

    def _on_joints(self, message: JointState) -> None:
        now_s, stamp_s, age_s = self._arrival(message.header)
        try:
            reading = self._joints.receive(message)
            if reading is None:
                return
            position = self._robot.measured(reading, self._pose)
        except QsftError as error:
            self._refuse(MEASUREMENT, error)
            return
        self._robot.controller.receive_measurement(position, now_s, stamp_s=stamp_s, age_s=age_s)
        self._synchronizer.add(MEASUREMENT, now_s - age_s, (reading, position))

    def _on_pose(self, message: PoseStamped) -> None:
        now_s, stamp_s, age_s = self._arrival(message.header)
        place, turn = message.pose.position, message.pose.orientation
        quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
        if not np.linalg.norm(quaternion) > 0.5:
            fault = Fault(FaultKind.UNREADABLE_INPUT, f"The pose's orientation {quaternion.tolist()} is no quaternion.")
            self._robot.controller.receive_fault(fault)
            return
        angles = turn_from_rotation(rotation_from_quaternion(*quaternion) @ self._reference.T)
        self._pose = np.array([place.x, place.y, place.z, *angles])
        self._robot.controller.receive_vector(POSE, self._pose, now_s, stamp_s=stamp_s, age_s=age_s)
        self._synchronizer.add(POSE, now_s - age_s, self._pose)

    def _on_picture(self, name: str, message: Image | CompressedImage) -> None:
        now_s, stamp_s, age_s = self._arrival(message.header)
        try:
            picture = picture_from(message)
        except QsftError as error:
            self._refuse(name, error)
            return
        self._robot.controller.receive_picture(
            name, picture.brightness, now_s, stamp_s=stamp_s, age_s=age_s, fingerprint=picture.fingerprint
        )
        if name in self._robot.interface.cameras:
            self._synchronizer.add(name, now_s - age_s, picture)

    def _refuse(self, name: str, error: QsftError) -> None:
        fault = Fault(FaultKind.UNREADABLE_INPUT, f"Input '{name}' cannot be read: {error}")
        self._robot.controller.receive_fault(fault)
        self._node.get_logger().warning(str(fault), throttle_duration_sec=5.0)
