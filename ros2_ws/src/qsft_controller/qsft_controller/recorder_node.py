"""Records episodes, one bag each, in a folder that `qsft convert` turns into a canonical data set.

    ~/start               begin an episode, labelled with the instruction heard last
    ~/success, ~/failure  end it with its outcome
    ~/stop                end it without one

The markers go to /episode, where the converter looks for them; whoever marks there itself, as the simulator does, needs
none of these services. Nothing is recorded between episodes. Bags that are there already are continued with the next
number.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from pathlib import Path

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from std_msgs.msg import String
from std_srvs.srv import Trigger

from qsft_controller.bag_writer import STORAGES, BagWriter
from qsft_controller.controller_parameters import checked_choice
from qsft_controller.node_process import run
from qsft_controller.parameters import ParameterDeclaration as Declaration
from qsft_controller.parameters import declare, strings, text
from vlm_qsft.errors import InvalidSetting

EPISODE_TOPIC = "/episode"
QUEUE = 200
"""Messages that wait while one is written: two cameras at 30 Hz for three seconds."""
LOOK_EVERY_S = 0.2
PREFIX = "episode_"
BEGINNINGS = ("start", "begin")
"""First words of the markers that begin an episode; every other marker ends one."""
DECLARATIONS = (
    Declaration("folder", "", "Folder of the bags, one for every episode."),
    Declaration("storage", "mcap", f"Format of the bags: {', '.join(STORAGES)}."),
    Declaration("topics", [""], "Names of the topics to record, besides /episode."),
    Declaration("instruction", "", "Label of an episode when no instruction was heard.", read_only=False),
    Declaration("instruction_topic", "/controller/instruction", "Topic (String) that says what the robot is told."),
)


class RecorderNode(Node):
    """Subscribes as soon as a topic has a publisher, with what that publisher offers."""

    def __init__(self) -> None:
        """Look for the topics.

        Raises:
            InvalidSetting, UnknownName: no folder, no topic, an unknown storage.
        """
        super().__init__("recorder")
        self._writer: BagWriter | None = None  # before anything that can fail: a node that failed is destroyed too
        declare(self, DECLARATIONS)
        topics, folder = strings(self, "topics"), text(self, "folder")
        if not folder or not topics:
            raise InvalidSetting("The recorder needs the parameters folder and topics: where to write, what to record.")
        self._storage = checked_choice(self, "storage", tuple(STORAGES))
        self._folder = Path(folder).expanduser()
        # Heard by itself, so that marks of others and of this node are recorded alike.
        self._topics = {EPISODE_TOPIC: ("std_msgs/msg/String", False)}
        self._awaited = [self.resolve_topic_name(name) for name in topics if name != EPISODE_TOPIC]
        self._heard = ""
        self._is_marking = False
        self.n_messages = 0
        self._marks = self.create_publisher(String, EPISODE_TOPIC, QUEUE)
        self.create_subscription(String, EPISODE_TOPIC, self._write_marker, QUEUE, raw=True)  # pyright: ignore
        self.create_subscription(String, text(self, "instruction_topic"), self._hear, QUEUE)
        for name in ("start", "success", "failure", "stop"):
            self.create_service(Trigger, f"~/{name}", partial(self._mark, name))
        self.create_timer(LOOK_EVERY_S, self._subscribe_to_found)
        self._subscribe_to_found()

    def destroy_node(self) -> None:
        """Complete the bag too."""
        self._end_bag()
        super().destroy_node()

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
            self._topics[topic] = (type_name, is_latched)
            if self._writer is not None:
                self._writer.add_topic(topic, type_name, latched=is_latched)
            package, kind, short = type_name.split("/")
            message_type = getattr(import_module(f"{package}.{kind}"), short)
            self.create_subscription(message_type, topic, partial(self._write, topic), profile, raw=True)
            self._awaited.remove(topic)
            self.get_logger().info(f"Recording {topic} ({type_name}).")

    def _write(self, topic: str, content: bytes) -> None:
        if self._writer is None:
            return
        self._writer.write(topic, self.get_clock().now().nanoseconds, content)
        self.n_messages += 1

    def _write_marker(self, content: bytes) -> None:
        marker = deserialize_message(content, String).data
        begins = marker.lower().startswith(BEGINNINGS)
        if begins:
            self._begin_bag()
        self._write(EPISODE_TOPIC, content)
        if not begins:
            self._end_bag()
        self.get_logger().info(f"Recorded the marker '{marker}'.")

    def _begin_bag(self) -> None:
        """Begin the bag of the next episode. Raises StorageError: it cannot be written."""
        self._end_bag()
        taken = [int(path.name.removeprefix(PREFIX)) for path in self._folder.glob(f"{PREFIX}[0-9]*")]
        self._writer = BagWriter(self._folder / f"{PREFIX}{max(taken, default=-1) + 1:05d}", storage=self._storage)
        for topic, (type_name, is_latched) in self._topics.items():
            self._writer.add_topic(topic, type_name, latched=is_latched)

    def _end_bag(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _hear(self, message: String) -> None:
        self._heard = message.data.strip()

    def _mark(self, word: str, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refusal = self._refusal(word)
        response.success, response.message = not refusal, refusal
        if refusal:
            return response
        self._is_marking = word == "start"
        label = self._heard or text(self, "instruction")
        response.message = f"start: {label}" if word == "start" else word
        self._marks.publish(String(data=response.message))
        return response

    def _refusal(self, word: str) -> str:
        if word != "start":
            return "" if self._is_marking else "No episode is under way: call ~/start first."
        if self._is_marking:
            return "An episode is under way: end it with ~/success, ~/failure or ~/stop first."
        if self._awaited:
            return f"Nothing publishes {', '.join(self._awaited)} yet."
        if not (self._heard or text(self, "instruction")):
            return f"No instruction: publish one on {text(self, 'instruction_topic')} or set the parameter instruction."
        return ""


def main(arguments: list[str] | None = None) -> int:
    """Record until it is told to end; the bag is completed then."""
    return run(RecorderNode, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
