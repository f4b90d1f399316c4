"""The recorder as a process of its own, told when episodes begin and end by its services."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from running_node import RunningNode
from sensor_msgs.msg import JointState
from std_msgs.msg import String

pytestmark = pytest.mark.usefixtures("ros")
JOINTS_HZ = 50


class Recording:
    """The recorder's process and a robot of one joint whose position counts its messages."""

    def __init__(self, folder: Path) -> None:
        self.bags = folder / "bags"
        self.node = rclpy.create_node("robot")
        self.sent = 0
        self._joints = self.node.create_publisher(JointState, "/joint_states", 10)
        self._instruction = self.node.create_publisher(String, "/controller/instruction", 10)
        self.node.create_timer(1 / JOINTS_HZ, self._publish)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        words = ["-p", f"folder:={self.bags}", "-p", "topics:=[/joint_states]"]
        self.process = RunningNode(
            self.node, threading.Condition(), folder / "log.txt", *words, module="recorder_node", name="recorder"
        )

    def _publish(self) -> None:
        self.sent += 1
        self._joints.publish(JointState(name=["slide"], position=[float(self.sent)]))

    def instruct(self, text: str) -> None:
        self.process.say(self._instruction, String(data=text))

    def wait_for_messages(self, count: int) -> None:
        """Wait until so many more joint states were sent."""
        until = self.sent + count
        self.process.wait(lambda: self.sent >= until, f"{count} joint states")

    def close(self) -> None:
        self.process.close()
        self._executor.shutdown(timeout_sec=5)
        self._thread.join(timeout=5)
        self.node.destroy_node()


@pytest.fixture
def recording(tmp_path: Path, ros: None) -> Iterator[Recording]:
    made = Recording(tmp_path)
    try:
        made.process.wait(lambda: "Recording /joint_states" in made.process.log, "the recorder hearing the joints")
        yield made
    finally:
        made.close()


def content(bag: Path) -> tuple[list[str], list[float]]:
    """Return the markers and the positions of a bag, read by another implementation than wrote it."""
    markers, positions = [], []
    with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic == "/episode":
                markers.append(message.data)  # type: ignore[attr-defined]
            else:
                positions.append(float(message.position[0]))  # type: ignore[attr-defined]
    return markers, positions


def test_the_services_begin_and_end_a_bag_for_every_episode(recording: Recording) -> None:
    recorder = recording.process
    refused = recorder.trigger("start")
    assert not refused.success and "No instruction" in refused.message
    recording.instruct("pick up the red cube")
    recorder.wait(lambda: recorder.trigger("start").success, "the beginning")
    again = recorder.trigger("start")
    assert not again.success and "under way" in again.message
    recorder.wait(lambda: recorder.log.count("Recorded the marker") == 1, "the marker")
    recording.wait_for_messages(20)
    assert recorder.trigger("success").message == "success"
    recorder.wait(lambda: recorder.log.count("Recorded the marker") == 2, "the end")
    recording.wait_for_messages(20)  # between two episodes: nobody wants these

    assert recorder.set_parameter("instruction", "not heard, so not used")
    assert recorder.trigger("start").message == "start: pick up the red cube"
    recorder.wait(lambda: recorder.log.count("Recorded the marker") == 3, "the second marker")
    recording.wait_for_messages(20)
    assert recorder.trigger("failure").success
    late = recorder.trigger("stop")
    assert not late.success and "No episode" in late.message
    recorder.wait(lambda: recorder.log.count("Recorded the marker") == 4, "the second end")
    assert recording.process.close() == 0

    first, second = (content(path) for path in sorted(recording.bags.iterdir()))
    assert first[0] == ["start: pick up the red cube", "success"]
    assert second[0] == ["start: pick up the red cube", "failure"]
    for _, positions in (first, second):
        assert len(positions) >= 15
        assert positions == sorted(positions)
    assert min(second[1]) - max(first[1]) >= 20


def test_an_episode_that_ctrl_c_cuts_off_is_a_readable_bag_without_an_outcome(recording: Recording) -> None:
    recorder = recording.process
    assert recorder.set_parameter("instruction", "move")
    assert recorder.trigger("start").success
    recorder.wait(lambda: "Recorded the marker" in recorder.log, "the marker")
    recording.wait_for_messages(20)
    assert recorder.close() == 0
    (bag,) = recording.bags.iterdir()
    markers, positions = content(bag)
    assert markers == ["start: move"]
    assert len(positions) >= 15
    assert "Traceback" not in recorder.log
