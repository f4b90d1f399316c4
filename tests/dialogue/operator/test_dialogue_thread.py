"""A conversation in a thread of its own: a stop waits for no answer that is being made."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from vlm_qsft.control import ControllerState, ControllerStatus
from vlm_qsft.dialogue.operator import DialogueThread, OperatorDialogue
from vlm_qsft.dialogue.operator.dialogue_thread import MOST_WAITING
from vlm_qsft.errors import CommandRefused

from .talking import BOOK, NotingRobot

PATIENCE_S = 60.0


class SlowRobot(NotingRobot):
    """Takes an instruction only when the test lets it."""

    def __init__(self) -> None:
        super().__init__("red cube", "blue ball")
        self.may_take, self.is_asked = threading.Event(), threading.Event()

    def instruct(self, instruction: str) -> None:
        self.is_asked.set()
        assert self.may_take.wait(PATIENCE_S)
        super().instruct(instruction)


class DeafRobot(NotingRobot):
    """Its controller cannot be told anything."""

    def hold(self, reason: str) -> None:
        raise CommandRefused("Nobody answers.")

    emergency_stop = hold


@pytest.fixture
def robot() -> Iterator[SlowRobot]:
    robot = SlowRobot()
    yield robot
    robot.may_take.set()


def test_a_stop_acts_at_once_and_what_was_said_before_it_is_left(robot: SlowRobot) -> None:
    holds: list[str] = []
    thread = DialogueThread(OperatorDialogue(robot, BOOK), lambda: holds.append("now"))
    first = thread.say("pick up the red cube")
    assert robot.is_asked.wait(PATIENCE_S)
    second = thread.say("pick up the blue ball")
    stop = thread.say("stop")
    assert holds == ["now"] and not first.done()
    robot.may_take.set()
    assert stop.result(PATIENCE_S).kind == "held"
    assert second.result().text == "I leave that: a stop came after it."
    assert robot.told == ["pick up the red cube", "HOLD"]
    thread.close()


def test_who_says_too_much_at_once_is_told_and_a_stop_is_heard_all_the_same(robot: SlowRobot) -> None:
    holds: list[str] = []
    thread = DialogueThread(OperatorDialogue(robot, BOOK), lambda: holds.append("now"))
    thread.say("pick up the red cube")
    assert robot.is_asked.wait(PATIENCE_S)
    waiting = [thread.say("status") for _ in range(MOST_WAITING)]
    assert "not listened" in thread.say("status").result(0).text
    assert not waiting[-1].done()
    stop = thread.say("emergency")
    robot.may_take.set()
    assert stop.result(PATIENCE_S).kind == "held" and holds == ["now"]
    thread.close()


@pytest.mark.parametrize("text", ["stop", "emergency"])
def test_a_hold_that_cannot_be_told_is_not_claimed(text: str) -> None:
    reply = OperatorDialogue(DeafRobot(), BOOK).hear(text)
    assert reply.kind == "refused"
    assert "use the emergency stop of the robot" in reply.text and "Nobody answers." in reply.text


def test_a_status_of_the_past_is_told_as_one_and_nothing_is_begun_on_it() -> None:
    robot = NotingRobot("red cube")
    robot.current = replace(robot.current, instruction="pick up the red cube", age_s=4.2)
    dialogue = OperatorDialogue(robot, BOOK)
    told = dialogue.hear("what are you doing?").text
    assert told == "The controller has said nothing for 4.2 s. What it said last: I follow 'pick up the red cube'."
    reply = dialogue.hear("pick up the red cube")
    assert reply.kind == "refused" and "said nothing for 4.2 s" in reply.text and robot.told == []


def test_without_a_controller_the_dialogue_knows_nothing_of_the_arm() -> None:
    robot = NotingRobot()
    robot.current = ControllerStatus(ControllerState.INACTIVE, complaint="No controller is heard.", age_s=math.inf)
    for question in ("why did you stop", "what do you plan", "how sure are you", "status", "what do you see"):
        answer = OperatorDialogue(robot, BOOK).hear(question).text
        assert answer == "I know nothing of the arm. No controller is heard."
