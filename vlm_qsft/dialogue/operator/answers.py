"""Answers to an operator's questions, each made of numbers and sentences that the controller has; nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vlm_qsft.control import ControllerState, ControllerStatus, FaultKind
from vlm_qsft.dialogue.operator.instruction_book import InstructionBook
from vlm_qsft.dialogue.operator.understanding import listed, trained_to
from vlm_qsft.types import Decision

_NO_VALUE = "This policy has no likelihood model, so it has no values."
_NO_DECISION = "I have not decided anything yet, so there is no value."
_ASKING = frozenset(
    [
        "why",
        "what",
        "what's",
        "when",
        "where",
        "how",
        "who",
        "which",
        "do",
        "does",
        "did",
        "are",
        "is",
        "can",
        "will",
        "have",
        "has",
        "tell",
        "show",
        "say",
    ]
)


def question_about(words: list[str]) -> str | None:
    """Return what a question is about: "why", "see", "plan", "value", "state", "help", or "" for anything else.

    None: it is no question.
    """
    if not words:
        return None
    text = " ".join(words)
    said = set(words)
    if words[0] == "why" or "what happened" in text or "what's wrong" in text or "what is wrong" in text:
        return "why"
    if words in (["status"], ["state"], ["report"]) or words in (["help"], ["commands"], ["instructions"]):
        return "state" if words[0] in ("status", "state", "report") else "help"
    if words[0] not in _ASKING:
        return None
    if said & {"see", "look", "camera", "cameras", "table", "there"}:
        return "see"
    if said & {"plan", "plans", "next", "going", "intend"}:
        return "plan"
    if said & {"sure", "confident", "value", "values", "likely", "chance", "work", "certain"}:
        return "value"
    if said & {"help", "commands", "instructions", "trained", "able"} or "can you do" in text or "can i" in text:
        return "help"
    if said & {"doing", "state", "status", "moving", "holding", "instruction", "task"}:
        return "state"
    return None if words[0] in ("can", "will", "do") else ""


def answer(about: str, status: ControllerStatus, book: InstructionBook, objects: Sequence[str] | None) -> str:
    """Return the answer to a question; see `question_about`. A status of the past is told as one."""
    told = _told(about, status, book, objects)
    if about in ("", "help") or not status.is_stale:
        return told
    if math.isinf(status.age_s):
        return f"I know nothing of the arm. {status.complaint}".rstrip()
    return f"The controller has said nothing for {status.age_s:.1f} s. What it said last: {told}"


def _told(about: str, status: ControllerStatus, book: InstructionBook, objects: Sequence[str] | None) -> str:
    if about == "why":
        return why(status)
    if about == "see":
        return sight(status, objects)
    if about == "plan":
        return plan(status)
    if about == "value":
        return value(status)
    if about == "state":
        return state(status)
    if about == "help":
        return (
            f"{trained_to(book)} I also answer why I stopped, what I see, what I plan and how sure I am. "
            "'Stop' makes me hold at once, 'resume' lets me go on."
        )
    return "I do not know. I can tell why I stopped, what I see, what I plan, how sure I am and what I am doing."


def why(status: ControllerStatus) -> str:
    """Return why the arm does not move, or that it does."""
    fault = status.fault
    if fault is None:
        if status.complaint:
            return f"I do not move because of this: {status.complaint}"
        if status.is_moving:
            return f"I have not stopped: I follow '{status.instruction}'.{_value_sentence(status)}"
        if status.state is ControllerState.INACTIVE:
            return "The controller is inactive: it has to be activated at the robot."
        if status.followed:
            return f"Because '{status.followed}' is done. I wait for the next instruction."
        return "I wait for an instruction. Nothing is wrong that I know of."
    doing = "am stopped" if status.state is ControllerState.STOPPED else "hold"
    text = f"I {doing} because of this: {fault.text}"
    if fault.kind is FaultKind.LOW_VALUE and len(status.values) > 1:
        text += (
            f" The value fell below it: it was {status.values[0]:.2f} at the first of {len(status.values)} decisions, "
            f"{max(status.values):.2f} at its highest."
        )
    late = [f"{name} {_age(age_s)}" for name, age_s in status.input_ages_s.items() if age_s > 1.0]
    if late and fault.kind is not FaultKind.STALE_INPUT:
        text += f" Now also: {', '.join(late)}."
    return text


def sight(status: ControllerStatus, objects: Sequence[str] | None) -> str:
    """Return which inputs arrive, and what is known of the table: the policy names no objects by itself."""
    ages = ", ".join(f"{name} ({_age(age_s)})" for name, age_s in status.input_ages_s.items())
    seen = f"My inputs: {ages}." if ages else "I have no inputs that I know of."
    if objects is None:
        return f"{seen} I do not know what lies before me: the policy acts on pictures and does not name things."
    things = listed(objects).replace(" or ", " and ")
    return f"{seen} I was told that these lie before me: {things}. The policy itself does not name things."


def plan(status: ControllerStatus) -> str:
    """Return the next action of the last decision with its Q-values."""
    if not status.instruction:
        return "Nothing: I have no instruction."
    if status.decision is None:
        return f"I have '{status.instruction}' and have not decided on a move yet."
    numbers = range(status.decision.action.shape[1])
    moves = ", ".join(_dimension(status.decision, status.action_names, number) for number in numbers)
    return f"For '{status.instruction}' my last decision was: {moves}.{_value_sentence(status)}"


def value(status: ControllerStatus) -> str:
    """Return the value of the last decision, its level and how it has changed."""
    if not status.values:
        return _NO_DECISION
    if math.isnan(status.value):
        return _NO_VALUE
    level = "" if status.min_value is None else f" Below {status.min_value:.2f} I hold."
    way = ""
    if len(status.values) > 1:
        way = f" Over {len(status.values)} decisions it went from {status.values[0]:.2f} to {status.values[-1]:.2f}."
    return f"The value is {status.value:.2f}: about that share of such attempts was followed to success.{level}{way}"


def state(status: ControllerStatus) -> str:
    """Return what the controller does."""
    if status.fault is not None or status.complaint:
        return why(status)
    if status.is_moving:
        return f"I follow '{status.instruction}'.{_value_sentence(status)}"
    if status.state is ControllerState.ACTIVE:
        done = f" '{status.followed}' is done." if status.followed else ""
        return f"I wait for an instruction.{done}"
    return f"The controller is {status.state.value}."


def _value_sentence(status: ControllerStatus) -> str:
    return "" if math.isnan(status.value) else f" The value is {status.value:.2f}."


def _age(age_s: float) -> str:
    return "has never arrived" if math.isinf(age_s) else f"{age_s:.1f} s old"


def _dimension(decision: Decision, names: tuple[str, ...], number: int) -> str:
    """Return one dimension of the first step: its number, and what the Q-values say of it where there are any."""
    name = names[number] if number < len(names) else f"dimension {number + 1}"
    text = f"{name} {decision.action[0, number]:+.2f}"
    q_values = decision.q_values[0, number] if decision.q_values.size else np.full(1, np.nan)
    chosen = int(decision.action_bins[0, number])
    if not np.isfinite(q_values).all() or not 0 <= chosen < len(q_values):
        return text
    return f"{text} (Q {q_values[chosen]:.2f}, the best of its {len(q_values)} bins {q_values.max():.2f})"
