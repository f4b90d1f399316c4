"""Answers about what the robot sees and plans: only numbers and sentences that its status holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlm_qsft.control import ControllerState, ControllerStatus, Fault, FaultKind
from vlm_qsft.dialogue.operator.answers import answer, question_about
from vlm_qsft.types import Decision

from .talking import BOOK

Q_VALUES = np.array([[[0.1, 0.6, 0.3], [0.2, 0.1, 0.05]]], np.float32)
DECISION = Decision(
    action=np.array([[0.5, -1.0]], np.float32),
    action_bins=np.array([[1, 2]]),
    q_values=Q_VALUES,
    probabilities=Q_VALUES,
    value=0.4,
    entropy=0.1,
    latency_s=0.01,
)
DRIVING = ControllerStatus(
    ControllerState.ACTIVE,
    instruction="pick up the red cube",
    min_value=0.1,
    input_ages_s={"front": 0.04, "wrist": 0.2},
    values=(0.7, 0.4),
    decision=DECISION,
    action_names=("dx", "gripper"),
)


def held(kind: FaultKind, text: str, **fields: object) -> ControllerStatus:
    return ControllerStatus(ControllerState.HOLDING, fault=Fault(kind, text), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("why did you stop", "why"), ("what happened", "why"), ("what's wrong", "why"), ("what do you see", "see"),
        ("what is on the table", "see"), ("what do you plan", "plan"), ("what will you do next", "plan"),
        ("how sure are you", "value"), ("will it work", "value"), ("what are you doing", "state"), ("status", "state"),
        ("help", "help"), ("what can you do", "help"), ("what is love", ""), ("pick up the cube", None),
        ("can you pick up the cube", None), ("", None),
    ],
)  # fmt: skip
def test_questions_are_told_apart_from_instructions(question: str, about: str | None) -> None:
    assert question_about(question.split()) == about


def test_a_stale_camera_is_named_with_its_age() -> None:
    status = held(FaultKind.STALE_INPUT, "Input 'front' is 0.600 s old, at most 0.5 s allowed.")
    text = answer("why", status, BOOK, None)
    assert text == "I hold because of this: Input 'front' is 0.600 s old, at most 0.5 s allowed."


def test_a_value_that_fell_is_told_with_where_it_came_from() -> None:
    status = held(FaultKind.LOW_VALUE, "Value 0.043 is below the level 0.100.", values=(0.62, 0.7, 0.043))
    text = answer("why", status, BOOK, None)
    assert "Value 0.043 is below the level 0.100." in text
    assert "it was 0.62 at the first of 3 decisions, 0.70 at its highest" in text


def test_what_is_late_besides_the_reason_is_told_too() -> None:
    status = held(FaultKind.OPERATOR, "The operator said 'stop'.", input_ages_s={"front": math.inf, "wrist": 2.04})
    text = answer("why", status, BOOK, None)
    assert text.endswith("Now also: front has never arrived, wrist 2.0 s old.")


def test_who_has_not_stopped_says_so() -> None:
    assert answer("why", DRIVING, BOOK, None).startswith("I have not stopped: I follow 'pick up the red cube'.")
    waiting = ControllerStatus(ControllerState.ACTIVE)
    assert answer("why", waiting, BOOK, None) == "I wait for an instruction. Nothing is wrong that I know of."
    done = ControllerStatus(ControllerState.ACTIVE, followed="pick up the red cube")
    assert "'pick up the red cube' is done" in answer("why", done, BOOK, None)
    assert "activated at the robot" in answer("why", ControllerStatus(ControllerState.INACTIVE), BOOK, None)


def test_the_plan_is_the_last_decision_with_its_q_values() -> None:
    text = answer("plan", DRIVING, BOOK, None)
    assert "dx +0.50 (Q 0.60, the best of its 3 bins 0.60)" in text
    assert "gripper -1.00 (Q 0.05, the best of its 3 bins 0.20)" in text
    assert "The value is 0.40." in text


def test_values_are_told_with_their_level_and_their_way() -> None:
    text = answer("value", DRIVING, BOOK, None)
    assert "The value is 0.40" in text and "Below 0.10 I hold." in text and "from 0.70 to 0.40" in text


def test_sight_is_ages_and_what_was_told_never_a_guess() -> None:
    unknown = answer("see", DRIVING, BOOK, None)
    assert "front (0.0 s old), wrist (0.2 s old)" in unknown and "I do not know what lies before me" in unknown
    told = answer("see", DRIVING, BOOK, ("red cube", "blue ball"))
    assert "the red cube and the blue ball" in told


def test_a_policy_without_values_says_that_it_has_none() -> None:
    status = ControllerStatus(ControllerState.ACTIVE, instruction="x", values=(math.nan,))
    assert answer("value", status, BOOK, None) == "This policy has no likelihood model, so it has no values."
    assert "not decided" in answer("value", ControllerStatus(ControllerState.ACTIVE), BOOK, None)
    assert answer("plan", ControllerStatus(ControllerState.ACTIVE), BOOK, None) == "Nothing: I have no instruction."


@pytest.mark.parametrize("about", ["why", "see", "plan", "value", "state", "help", ""])
def test_every_question_has_an_answer_in_every_state(about: str) -> None:
    for state in ControllerState:
        text = answer(about, ControllerStatus(state), BOOK, ())
        assert text and "nan" not in text and "inf" not in text
