"""Records topics into a bag that `qsft convert` turns into a canonical data set: one marked episode after the other.

    ~/start               begin an episode, labelled with the instruction heard last
    ~/success, ~/failure  end it with its outcome
    ~/stop                end it without one

The markers go to /episode, where the converter looks for them. A simulator that marks its episodes itself needs none of
these services: record its /episode.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from qsft_controller.bag_writer import STORAGES, BagWriter
from vlm_qsft.errors import InvalidSetting, QsftError

EPISODE_TOPIC = "/episode"
QUEUE = 200
"""Messages that wait while one is written: two cameras at 30 Hz for three seconds."""
LOOK_EVERY_S = 0.2
PARAMETERS: dict[str, tuple[object, str]] = {
    "folder": ("", "Folder of the bag; it must not exist yet."),
    "storage": ("mcap", f"Format of the bag: {', '.join(STORAGES)}."),
    "topics": ([""], "Names of the topics to record, besides /episode."),
    "instruction": ("", "What an episode is labelled with when no instruction was heard."),
    "instruction_topic": ("/controller/instruction", "Topic (std_msgs/String) that says what the robot is told."),
}


class RecorderNode(Node):
    """Subscribes as soon as a topic has a publisher, with what that publisher offers."""

    def __init__(self) -> None:
        """Begin the bag.

        Raises:
            InvalidSetting, UnknownName: no folder, no topic, an unknown storage.
            StorageError: the folder exists, or cannot be written.
        """
        super().__init__("recorder")
        for name, (default, description) in PARAMETERS.items():
            descriptor = ParameterDescriptor(description=description, read_only=name != "instruction")
            self.declare_parameter(name, default, descriptor)
        topics = [name for name in self._value("topics") if name]
        if not self._value("folder") or not topics:
            raise InvalidSetting("The recorder needs the parameters folder and topics: where to write, what to record.")
        self._writer = BagWriter(Path(self._value("folder")).expanduser(), storage=self._value("storage"))
        self._awaited = [self.resolve_topic_name(name) for name in topics if name != EPISODE_TOPIC]
        self._heard = ""
        self._is_marking = False
        self.n_messages = 0
        # Heard by itself, so that marks of others and of this node are recorded alike.
        self._writer.add_topic(EPISODE_TOPIC, "std_msgs/msg/String")
        self._marks = self.create_publisher(String, EPISODE_TOPIC, QUEUE)
        self.create_subscription(String, EPISODE_TOPIC, partial(self._write, EPISODE_TOPIC), QUEUE, raw=True)
        self.create_subscription(String, self._value("instruction_topic"), self._hear, QUEUE)
        for name in ("start", "success", "failure", "stop"):
            self.create_service(Trigger, f"~/{name}", partial(self._mark, name))
        self.create_timer(LOOK_EVERY_S, self._subscribe_to_found)
        self._subscribe_to_found()

    def close(self) -> None:
        """Complete the bag."""
        self._writer.close()

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _subscribe_to_found(self) -> None:
        for topic in list(self._awaited):
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            profiles = [publisher.qos_profile for publisher in publishers]
            is_reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in profiles)
            is_latched = all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles)
            profile = QoSProfile(
                depth=QUEUE,
                reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
                durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
            )
            type_name = publishers[0].topic_type
            self._writer.add_topic(topic, type_name, latched=is_latched)
            package, kind, short = type_name.split("/")
            message_type = getattr(import_module(f"{package}.{kind}"), short)
            self.create_subscription(message_type, topic, partial(self._write, topic), profile, raw=True)
            self._awaited.remove(topic)
            self.get_logger().info(f"Recording {topic} ({type_name}).")

    def _write(self, topic: str, content: bytes) -> None:
        self._writer.write(topic, self.get_clock().now().nanoseconds, content)
        self.n_messages += 1

    def _hear(self, message: String) -> None:
        self._heard = message.data.strip()

    def _mark(self, word: str, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refusal = self._refusal(word)
        response.success, response.message = not refusal, refusal
        if refusal:
            return response
        self._is_marking = word == "start"
        label = self._heard or self._value("instruction")
        text = f"start: {label}" if word == "start" else word
        self._marks.publish(String(data=text))
        response.message = text
        return response

    def _refusal(self, word: str) -> str:
        if word != "start":
            return "" if self._is_marking else "No episode is under way: call ~/start first."
        if self._is_marking:
            return "An episode is under way: end it with ~/success, ~/failure or ~/stop first."
        if self._awaited:
            return f"Nothing publishes {', '.join(self._awaited)} yet."
        if not (self._heard or self._value("instruction")):
            return (
                f"No instruction: publish one on {self._value('instruction_topic')} or set the parameter instruction."
            )
        return ""


def main() -> int:
    """Record until interrupted; the bag is completed then. Returns 2 for what the user can mend."""
    rclpy.init()
    try:
        node = RecorderNode()
    except QsftError as problem:
        print(problem, file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except QsftError as problem:
        print(problem, file=sys.stderr)
        return 2
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
