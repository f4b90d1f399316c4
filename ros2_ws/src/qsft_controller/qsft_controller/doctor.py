"""Listens to a robot's topics for a while and says whether its controller can use them. Sends nothing.

qsft ros doctor --parameters simulator.yaml --checkpoint runs/demo/q/policy
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, JointState

from qsft_controller import qos
from qsft_controller.command_output import expected_commands
from qsft_controller.controller_parameters import control_settings, declare_controller, policy_server, robot_settings
from qsft_controller.graph_checks import CLOCK, JOINT_STATE, POSE, examine
from qsft_controller.image_messages import picture_from
from qsft_controller.parameters import number, text
from qsft_controller.policy_source import load_policy
from qsft_controller.robot_graph import (
    Endpoint,
    ExpectedCamera,
    ExpectedJoint,
    ExpectedRobot,
    Finding,
    GraphFacts,
    PictureFacts,
    TopicFacts,
)
from qsft_controller.stamps import seconds
from vlm_qsft.control.robot import RobotSettings, fit_robot
from vlm_qsft.errors import QsftError
from vlm_qsft.remote import RemotePolicy
from vlm_qsft.types import Policy

NODE = "qsft_doctor"
DISCOVERY_S = 3.0
"""Discovery takes up to 2.7 s; only then is known what to subscribe."""
CONNECTION_S = 8.0
"""A new subscription finds its publishers at once or, on a busy machine, after seconds: listening waits so long for a
first message on every topic."""
LOOK_S = 0.05
"""Waits are of one length: an executor that is asked with another time-out forgets what else was ready, and a quick
/clock would keep it from every other topic."""


@dataclass
class _Heard:
    """What arrived on one topic."""

    arrivals_s: list[float] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    frames: dict[str, None] = field(default_factory=dict)
    has_stamps: bool = False


class Doctor(Node):
    """Subscribes what the controller would subscribe and notes what comes."""

    def __init__(self) -> None:
        super().__init__(NODE)
        declare_controller(self)
        self._heard: dict[str, _Heard] = {}
        self._pictures: dict[str, PictureFacts] = {}
        self._positions: dict[str, tuple[float, float]] = {}
        self._not_finite: dict[str, None] = {}
        self._has_heard = False
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    @property
    def hears_nothing(self) -> bool:
        """Tell whether something was subscribed and nothing at all has arrived since."""
        return bool(self._heard) and not self._has_heard

    def expected(self, settings: RobotSettings, sizes: dict[str, tuple[int, int]]) -> ExpectedRobot:
        """Return what the controller would use.

        Args:
            settings: of the robot.
            sizes: camera -> (height, width) of the pictures the policy was trained with.
        """
        axes = {axis.source.name: axis.limits for axis in settings.axes if axis.source.kind == "joint"}
        joints = []
        for name in settings.joint_names:
            limits = axes.get(name)
            if limits is None:
                joints.append(ExpectedJoint(name, "", -np.inf, np.inf, 0.0))
            else:
                tolerance = limits.measurement_tolerance
                joints.append(ExpectedJoint(name, limits.unit, limits.lower, limits.upper, tolerance))
        return ExpectedRobot(
            joint_states=self.resolve_topic_name("joint_states"),
            max_age_s=settings.measurement_max_age_s,
            joints=tuple(joints),
            cameras=tuple(self._camera(camera.name, camera.max_age_s, sizes) for camera in settings.cameras),
            commands={self.resolve_topic_name(name): type_name for name, type_name in expected_commands(self).items()},
            pose=self.resolve_topic_name("end_effector_pose") if settings.needs_pose else None,
            frame_id=text(self, "command.frame_id"),
            uses_sim_time=bool(self.get_parameter("use_sim_time").value),
        )

    def listen(self, expected: ExpectedRobot, duration_s: float) -> GraphFacts:
        """Return what is seen in this time.

        Args:
            expected: says which topics to subscribe.
            duration_s: on this machine's clock, s.
        """
        self._spin(DISCOVERY_S)
        if self._type_of(expected.joint_states) == JOINT_STATE:
            self._subscribe(expected.joint_states, JOINT_STATE, self._note_joints)
        for camera in expected.cameras:
            if self._type_of(camera.topic) == camera.type_name:
                self._subscribe(camera.topic, camera.type_name, partial(self._note_picture, camera.name))
        if expected.pose is not None and self._type_of(expected.pose) == POSE:
            self._subscribe(expected.pose, POSE, lambda message: None)
        self._spin(CONNECTION_S, until=lambda: all(heard.arrivals_s for heard in self._heard.values()))
        for heard in self._heard.values():
            heard.arrivals_s.clear()
            heard.ages_s.clear()
        begin_s = time.monotonic()
        self._spin(duration_s)
        end_s = time.monotonic()
        topics = {name: self._facts(name, types, begin_s, end_s) for name, types in self.get_topic_names_and_types()}
        return GraphFacts(end_s - begin_s, topics, self._pictures, self._positions, tuple(self._not_finite))

    def _camera(self, name: str, max_age_s: float, sizes: dict[str, tuple[int, int]]) -> ExpectedCamera:
        topic = text(self, f"camera.{name}.topic")
        if text(self, f"camera.{name}.transport") == "compressed":
            compressed = self.resolve_topic_name(f"{topic}/compressed")
            return ExpectedCamera(name, compressed, "sensor_msgs/msg/CompressedImage", max_age_s, sizes.get(name))
        return ExpectedCamera(name, self.resolve_topic_name(topic), "sensor_msgs/msg/Image", max_age_s, sizes.get(name))

    def _spin(self, duration_s: float, until: Callable[[], bool] = lambda: False) -> None:
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s and not until():
            self._executor.spin_once(timeout_sec=LOOK_S)

    def _type_of(self, topic: str) -> str:
        publishers = self.get_publishers_info_by_topic(topic)
        return publishers[0].topic_type if publishers else ""

    def _subscribe(self, topic: str, type_name: str, note: Callable[[Any], None]) -> None:
        package, kind, short = type_name.split("/")
        heard = self._heard[topic] = _Heard()

        def arrive(message: Any) -> None:
            self._has_heard = True
            heard.arrivals_s.append(time.monotonic())
            stamp_s = seconds(message.header.stamp)
            if stamp_s:
                heard.ages_s.append(self.get_clock().now().nanoseconds / 1e9 - stamp_s)
            heard.frames[message.header.frame_id] = None
            note(message)

        self.create_subscription(getattr(import_module(f"{package}.{kind}"), short), topic, arrive, qos.SENSOR)

    def _note_joints(self, message: JointState) -> None:
        for name, position in zip(message.name, message.position, strict=False):
            if not np.isfinite(position):
                self._not_finite[name] = None
                continue
            low, high = self._positions.get(name, (position, position))
            self._positions[name] = (min(low, position), max(high, position))

    def _note_picture(self, camera: str, message: Any) -> None:
        encoding = message.format if isinstance(message, CompressedImage) else message.encoding
        try:
            picture = picture_from(message).rgb()
        except QsftError as problem:
            self._pictures[camera] = PictureFacts(encoding, (0, 0), str(problem))
        else:
            self._pictures[camera] = PictureFacts(encoding, picture.shape[:2])

    def _facts(self, name: str, types: list[str], begin_s: float, end_s: float) -> TopicFacts:
        heard = self._heard.get(name, _Heard())
        times = [begin_s, *heard.arrivals_s, end_s]
        return TopicFacts(
            name,
            tuple(types),
            _endpoints(self.get_publishers_info_by_topic(name)),
            _endpoints(self.get_subscriptions_info_by_topic(name)),
            len(heard.arrivals_s),
            float(np.diff(times).max()),
            (min(heard.ages_s), max(heard.ages_s)) if heard.ages_s else None,
            tuple(heard.frames),
        )


def _endpoints(found: Sequence[TopicEndpointInfo]) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(
            endpoint.node_name,
            "best_effort" if endpoint.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT else "reliable",
            "transient_local" if endpoint.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL else "volatile",
        )
        for endpoint in found
        if endpoint.node_name != NODE
    )


def picture_sizes(policy: Policy) -> dict[str, tuple[int, int]]:
    """Return camera -> (height, width) of the pictures a checkpoint was trained with; empty for other policies."""
    if isinstance(policy, RemotePolicy):
        return dict(zip(policy.interface.cameras, policy.description.recorded_sizes, strict=True))
    checkpoint = getattr(policy, "checkpoint", None)
    return {} if checkpoint is None else dict(checkpoint.schema.cameras)


def run(
    files: Sequence[Path], parameters: dict[str, str], remappings: Sequence[str], duration_s: float
) -> list[Finding]:
    """Return all findings about a robot.

    Args:
        files: parameter files of the controller.
        parameters: above those of the files.
        remappings: FROM:=TO, as the controller gets them.
        duration_s: of listening, s; as long again where something is published and nothing at all comes.

    Raises:
        QsftError: the parameters describe no robot.
    """
    words = ["--ros-args", *(word for file in files for word in ("--params-file", str(file)))]
    words += [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    words += [word for remapping in remappings for word in ("-r", remapping)]
    findings: list[Finding] = []
    sizes: dict[str, tuple[int, int]] = {}
    with _joined(words) as doctor:
        settings = robot_settings(doctor)
        if any(text(doctor, name) for name in ("checkpoint", "policy", "policy_server.address")):
            finding, sizes = _fit(doctor, settings)
            findings.append(finding)
        expected = doctor.expected(settings, sizes)
        facts = doctor.listen(expected, duration_s)
        hears_nothing = doctor.hears_nothing
    if hears_nothing:
        # DDS now and then joins two processes in one direction only: the graph is seen and no message comes. A robot
        # that is silent stays so when another participant listens.
        with _joined(words) as doctor:
            facts = doctor.listen(expected, duration_s)
    return [*findings, *examine(expected, facts)]


@contextmanager
def _joined(words: Sequence[str]) -> Iterator[Doctor]:
    """Join the graph as a participant of its own, and leave it."""
    rclpy.init(args=list(words))
    try:
        doctor = Doctor()
        yield doctor
        doctor.destroy_node()
    finally:
        rclpy.try_shutdown()


def _fit(doctor: Doctor, settings: RobotSettings) -> tuple[Finding, dict[str, tuple[int, int]]]:
    try:
        policy = load_policy(
            checkpoint=text(doctor, "checkpoint"),
            policy=text(doctor, "policy"),
            device="cpu",
            explain=False,
            server=policy_server(doctor),
        )
        fit_robot(settings, policy.interface, control_settings(doctor, policy.interface.step_s))
    except QsftError as problem:
        return Finding("checkpoint", "fault", str(problem)), {}
    interface = policy.interface
    step_s = number(doctor, "step_s") or interface.step_s
    words = f"cameras {', '.join(interface.cameras)}; {len(interface.action_names)} actions; steps of {step_s:g} s"
    return Finding("checkpoint", "ok", f"fits the robot's configuration: {words}"), picture_sizes(policy)


__all__ = ["CLOCK", "Doctor", "run"]
