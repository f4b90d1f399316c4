"""The dialogue node between an operator and a controller that moves an arm, over DDS in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")

from qsft_interfaces.srv import Dialogue
from rigs import Rig, rig_in
from running_node import RunningNode
from std_msgs.msg import String

pytestmark = pytest.mark.usefixtures("ros")
TRAINED = "pick up the red cube\npick up the red ball\npick up the blue cube\n"
# A machine that does other things makes messages late; the arm is to hold for what the operator says, and for a camera.
LIMITS = {
    "measurement_max_age_s": 9.0,
    "decision_timeout_s": 9.0,
    "max_tick_gap_s": 9.0,
    "synchronization_tolerance_s": 1.0,
    "camera.front.max_age_s": 4.0,
    "camera.wrist.max_age_s": 9.0,
    "camera.front.frozen_after_s": 9.0,
    "camera.wrist.frozen_after_s": 9.0,
}
PATIENT = tuple(word for name, value in LIMITS.items() for word in ("-p", f"{name}:={value}"))


class Conversation:
    """An operator, the dialogue node, the controller and its arm."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        instructions = folder / "instructions.txt"
        instructions.write_text(TRAINED)
        words = ["-p", f"instructions_file:={instructions}", "-p", "answer_timeout_s:=20.0"]
        self.rig, self.answers = rig, []
        self.node = RunningNode(
            rig.arm, rig.arm.changed, folder / "dialogue.log", *words, module="dialogue_node", name="dialogue"
        )
        self.said = rig.arm.create_publisher(String, "/dialogue/said", 10)
        rig.arm.create_subscription(String, "/dialogue/answer", self._on_answer, 10)

    def _on_answer(self, message: String) -> None:
        self.answers.append(message.data)
        self.node.notify()

    def say(self, text: str) -> Dialogue.Response:
        return self.node.call(Dialogue, "say", Dialogue.Request(text=text))  # type: ignore[return-value]

    def wait_for_answer(self, part: str) -> None:
        self.node.wait(lambda: any(part in answer for answer in self.answers), f"'{part}' among {self.answers}")


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Conversation]:
    with rig_in(tmp_path, *PATIENT) as rig:
        conversation = Conversation(rig, tmp_path)
        try:
            yield conversation
        finally:
            status = conversation.node.close()
    assert status == 0 and "Traceback" not in conversation.node.log, conversation.node.log


def test_an_operator_asks_for_something_stops_it_and_is_told_why_the_arm_holds(talk: Conversation) -> None:
    controller = talk.rig.controller
    talk.node.wait(lambda: "not configured" in talk.say("pick up the blue cube").answer, "that it is not configured")
    controller.drive()
    talk.node.wait(lambda: "wait for an instruction" in talk.say("status").answer, "an active controller")

    question = talk.say("pick up the red one")
    assert "the red cube or the red ball" in question.answer and not question.accepted
    assert controller.last["instruction"] == ""
    reply = talk.say("the ball")
    assert reply.accepted and reply.instruction == "pick up the red ball"
    assert controller.wait_for(instruction="pick up the red ball")["min_value"] == "0.1000"
    talk.rig.wait_for_motion()
    talk.node.wait(lambda: "The value is 0.75" in talk.say("how sure are you?").answer, "the value of the decisions")

    talk.node.say(talk.said, String(data="stop"))
    controller.wait_for(state="holding", fault="operator")
    talk.rig.wait_for_rest()
    talk.wait_for_answer("Say 'resume' to let me go on")
    assert "I hold because of this: An operator has asked to hold." in talk.say("why did you stop?").answer
    assert talk.say("resume").answer == "I go on with 'pick up the red ball'."
    talk.rig.wait_for_motion()

    talk.rig.arm.faults.silent.add("front")
    talk.wait_for_answer("I hold because of this: Input 'front'")  # said without being asked
    assert "'front'" in talk.say("why did you stop?").answer
    assert "I cannot go on." in talk.say("resume").answer

    controller.kill()
    talk.node.wait(lambda: "has said nothing for" in talk.say("status").answer, "that the state is of the past")
    assert not talk.say("pick up the blue cube").accepted
