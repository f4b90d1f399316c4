"""Scripted conversations: what is said, what the robot answers, what reaches the controller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vlm_qsft.dialogue.operator import InstructionBook, OperatorDialogue, Reply
from vlm_qsft.errors import InvalidSetting

from .talking import BOOK, TRAINED, NotingRobot

TABLE = ("red cube", "red cylinder", "blue ball")


class Talk:
    """A dialogue with a robot before which the things of TABLE lie."""

    def __init__(self, *objects: str, value: float = float("nan")) -> None:
        self.robot = NotingRobot(*objects, value=value)
        self.dialogue = OperatorDialogue(self.robot, BOOK)

    def say(self, *texts: str) -> Reply:
        replies = [self.dialogue.hear(text) for text in texts]
        return replies[-1]


@pytest.fixture
def talk() -> Talk:
    return Talk(*TABLE)


def test_an_instruction_word_for_word_is_carried_out_at_once(talk: Talk) -> None:
    reply = talk.say("Please, pick up the blue ball!")
    assert (reply.kind, reply.instruction) == ("instructed", "pick up the blue ball")
    assert talk.robot.told == ["pick up the blue ball"]


def test_two_red_things_lead_to_a_question_and_the_answer_to_the_instruction(talk: Talk) -> None:
    reply = talk.say("pick up the red one")
    assert reply.kind == "question" and "the red cube or the red cylinder" in reply.text
    assert talk.robot.told == []
    assert talk.say("the cylinder").instruction == "pick up the red cylinder"


@pytest.mark.parametrize(("answer", "thing"), [("the first", "cube"), ("2", "cylinder"), ("the last one", "cylinder")])
def test_a_choice_can_be_answered_by_its_place(talk: Talk, answer: str, thing: str) -> None:
    assert talk.say("grab the red one", answer).instruction == f"pick up the red {thing}"


def test_what_was_said_in_other_words_is_confirmed_first(talk: Talk) -> None:
    assert talk.say("grab the ball").text == "You mean: pick up the blue ball? (yes / no)"
    assert talk.robot.told == []
    assert talk.say("yes").instruction == "pick up the blue ball"


def test_no_to_a_confirmation_leaves_it_and_moves_nothing(talk: Talk) -> None:
    assert talk.say("grab the ball", "no").text == "All right, I leave it."
    assert talk.robot.told == []
    assert talk.say("yes").text == "There is nothing to confirm."


def test_it_and_the_other_one_mean_what_was_named_before(talk: Talk) -> None:
    talk.say("pick up the red cube")
    reply = talk.say("now the blue one, next to it")
    assert reply.text == "You mean: move the blue ball near the red cube? (yes / no)"
    assert talk.say("yes").instruction == "move the blue ball near the red cube"
    assert talk.say("lift it", "ok").instruction == "pick up the blue ball"
    assert talk.say("pick up the red cube").instruction == "pick up the red cube"
    assert talk.say("take the other red one", "yes").instruction == "pick up the red cylinder"
    assert talk.say("now next to the ball", "yes").instruction == "move the red cylinder near the blue ball"


def test_a_second_thing_that_was_not_said_is_asked_for(talk: Talk) -> None:
    reply = talk.say("move the ball")
    assert reply.kind == "question" and "move the blue ball near the ...: which one" in reply.text.lower()
    assert talk.say("the cube").instruction == "move the blue ball near the red cube"


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ("pick up the green ball", "I know of no 'green ball' here. On the table I know of the red cube, the red"),
        ("dance", "I do not know the word 'dance'. I was trained to: pick up the ...; move the ... near the ...."),
        ("lift it", "I do not know what 'it' is"),
        ("put the ball on the cube", "I was not trained to do that."),
        ("pick up the cube and put it near the ball", "One thing at a time"),
        ("move the ball near the ball", "one and the same thing twice"),
        ("", "I heard nothing."),
        ("what is love", "I do not know. I can tell why I stopped"),
        ("hello", "I did not understand that."),
        (" ".join(["pick up the red cube"] * 20), "too long"),
    ],
)
def test_what_is_not_known_is_said_and_nothing_moves(talk: Talk, said: str, answered: str) -> None:
    reply = talk.say(said)
    assert answered in reply.text
    assert talk.robot.told == [] and reply.instruction == ""


def test_without_knowledge_of_the_table_the_trained_things_are_asked_about_and_it_says_so() -> None:
    talk = Talk()
    reply = talk.say("pick up the red one")
    assert "I do not know what lies before me" in reply.text
    assert "the red cube, the red ball or the red cylinder" in reply.text


@pytest.mark.parametrize(
    "text",
    ["stop", "STOP!!!", "Stooop", "please stop it now", "halt", "hold on", "wait", "freeze", "no no no", "don't stop",
     "can you stop?", "pause", "abort", "whoa", "move the ball, no, wait", "x " * 300_000 + "stop"],
)  # fmt: skip
def test_stop_words_hold_at_once_whatever_else_is_said(talk: Talk, text: str) -> None:
    talk.say("pick up the red cube")
    assert talk.say(text).kind == "held"
    assert talk.robot.told == ["pick up the red cube", "HOLD"]


def test_a_stop_word_needs_no_answer_to_an_open_question_and_closes_it(talk: Talk) -> None:
    assert talk.say("pick up the red one", "stop").kind == "held"
    assert talk.say("the cube").kind == "question"  # a new sentence now: which is meant is asked again, or confirmed
    assert talk.robot.told == ["HOLD"]


@pytest.mark.parametrize("text", ["why did you stop?", "what happened, did you stop?", "when do you stop"])
def test_a_question_about_stopping_does_not_stop(talk: Talk, text: str) -> None:
    talk.say("pick up the red cube", text)
    assert talk.robot.told == ["pick up the red cube"]


def test_an_emergency_stays_until_it_is_cleared_at_the_robot(talk: Talk) -> None:
    assert talk.say("emergency stop").kind == "held"
    assert talk.robot.told == ["EMERGENCY STOP"]
    assert "The operator called an emergency" in talk.say("pick up the red cube").text
    assert talk.say("resume").kind == "refused"
    assert talk.robot.told == ["EMERGENCY STOP"]


def test_an_instruction_while_holding_is_taken_and_moves_only_after_resume(talk: Talk) -> None:
    talk.say("stop")
    reply = talk.say("pick up the red cube")
    assert reply.instruction == "pick up the red cube" and "still hold" in reply.text
    assert talk.say("go on, resume").kind != "resumed"  # "on" is no word of it: not taken for a resume
    assert talk.say("please continue").text == "I go on with 'pick up the red cube'."
    assert talk.robot.told == ["HOLD", "pick up the red cube", "RESUME"]


def test_little_hope_is_asked_about_before_anything_moves() -> None:
    talk = Talk(*TABLE, value=0.04)
    talk.robot.current = replace(talk.robot.current, min_value=0.1)
    reply = talk.say("pick up the red cube")
    assert reply.kind == "question" and "0.04, below the level 0.10" in reply.text
    assert talk.robot.told == []
    assert talk.say("yes").instruction == "pick up the red cube"


def test_the_instruction_goes_out_as_the_data_set_has_it() -> None:
    book = InstructionBook.of(["Pick up the Red cube.", "Open the top drawer."])
    robot = NotingRobot("red cube", "top drawer")
    dialogue = OperatorDialogue(robot, book)
    dialogue.hear("pick up the red cube")
    dialogue.hear("open the drawer")
    dialogue.hear("yes")
    assert robot.told == ["Pick up the Red cube.", "Open the top drawer."]


def test_a_checkpoint_that_does_not_say_what_it_was_trained_to_do_is_an_error() -> None:
    with pytest.raises(InvalidSetting, match="train it again"):
        InstructionBook.of([])


def test_the_book_takes_instructions_apart_into_templates_and_things() -> None:
    assert [" ".join(template.words) for template in BOOK.templates] == [
        "pick up the {}",
        "move the {} near the {}",
    ]
    assert len(BOOK.objects) == 9 and len(BOOK.trained) == len(TRAINED)
