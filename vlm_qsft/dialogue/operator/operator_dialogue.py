"""OperatorDialogue: what an operator says becomes an instruction, a question back, an answer, or a hold.

Only `hear` listens, and it takes what the operator says and nothing else: no log, no answer of a model and no picture
comes this way. What reaches the controller is an instruction made from a trained template and known objects, never the
text that was said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vlm_qsft.control import ControllerState
from vlm_qsft.dialogue.operator import words as said
from vlm_qsft.dialogue.operator.answers import answer, question_about
from vlm_qsft.dialogue.operator.instruction_book import InstructionBook
from vlm_qsft.dialogue.operator.operated_robot import OperatedRobot
from vlm_qsft.dialogue.operator.understanding import Choice, NotUnderstood, Understood, narrowed, understand
from vlm_qsft.dialogue.plain_text import LONGEST_TEXT
from vlm_qsft.errors import QsftError

ReplyKind = Literal["answer", "question", "instructed", "held", "resumed", "refused"]


@dataclass(frozen=True)
class Reply:
    """What the robot answers.

    Attributes:
        text: for the operator.
        kind: what came of it.
        instruction: that went to the controller; "" where none did.
    """

    text: str
    kind: ReplyKind = "answer"
    instruction: str = ""


@dataclass(frozen=True)
class _Confirmation:
    understood: Understood
    is_low_accepted: bool


def is_stop(text: str) -> bool:
    """Return whether a text makes the arm hold or stop, whatever else it says and whatever is going on."""
    words = _words_of(text)
    return said.is_emergency(words) or said.stop_word(words) is not None


def _words_of(text: str) -> list[str]:
    # However long a text is, a stop word at either end is heard.
    return said.split_utterance(
        text if len(text) <= 2 * LONGEST_TEXT else f"{text[:LONGEST_TEXT]} {text[-LONGEST_TEXT:]}"
    )


class OperatorDialogue:
    """One conversation with one robot; see the module. Call it from one thread."""

    def __init__(self, robot: OperatedRobot, book: InstructionBook) -> None:
        """Begin.

        Args:
            robot: to talk about and to instruct.
            book: what its policy was trained to do.
        """
        self._robot, self._book = robot, book
        self._last: Understood | None = None
        self._open: Choice | _Confirmation | None = None

    def hear(self, text: str) -> Reply:
        """Answer what the operator says. Stop words act before anything else is looked at."""
        words = _words_of(text)
        stopped = self._stopped(words)
        if stopped is not None:
            return stopped
        if not words:
            return Reply("I heard nothing.", "refused")
        if len(words) > said.LONGEST_UTTERANCE:
            return Reply(f"That is too long for me: {len(words)} words; {said.LONGEST_UTTERANCE} at most.", "refused")
        asked, self._open = self._open, None
        return self._answered(asked, words) or self._resumed(words) or self._questioned(words) or self._meant(words)

    def _stopped(self, words: list[str]) -> Reply | None:
        if said.is_emergency(words):
            self._open = None
            try:
                self._robot.emergency_stop("The operator called an emergency.")
            except QsftError as problem:
                return _not_stopped(problem)
            return Reply("Emergency stop. It has to be cleared at the robot.", "held")
        word = said.stop_word(words)
        is_no = bool(words) and all(word in said.NO for word in words)
        if word is None and not (is_no and self._open is None):
            return None
        self._open = None
        was_moving = self._robot.status().is_moving
        try:
            self._robot.hold(f"The operator said '{word or words[0]}'.")
        except QsftError as problem:
            return _not_stopped(problem)
        status = self._robot.status()
        if status.state in (ControllerState.INACTIVE, ControllerState.STOPPED):
            return Reply(f"I do not move: the controller is {status.state.value}.", "held")
        return Reply("I hold. Say 'resume' to let me go on." if was_moving else "I hold.", "held")

    def _answered(self, asked: Choice | _Confirmation | None, words: list[str]) -> Reply | None:
        """Return the reply to an answer of the operator; None where it was none."""
        is_yes = bool(set(words) & said.YES) and set(words) <= said.YES | said.IGNORED
        is_no = bool(set(words) & said.NO) and set(words) <= said.NO | said.IGNORED
        if asked is None:
            return Reply("There is nothing to confirm.", "refused") if is_yes else None
        if is_no:
            return Reply("All right, I leave it.")
        if isinstance(asked, _Confirmation):
            return self._carry_out(asked.understood, is_low_accepted=asked.is_low_accepted) if is_yes else None
        if is_yes:
            self._open = asked
            return Reply(f"Yes to which? {asked.question}", "question")
        left = narrowed(asked, words)
        if len(left) == 1:
            return self._carry_out(left[0], is_low_accepted=False)
        if left:
            self._open = Choice(asked.question, left)
            return Reply(f"Still {len(left)} possibilities. {asked.question}", "question")
        return None

    def _resumed(self, words: list[str]) -> Reply | None:
        if not (set(words) & said.RESUME and set(words) <= said.RESUME | said.IGNORED):
            return None
        try:
            self._robot.resume()
        except QsftError as problem:
            return Reply(f"I cannot go on. {problem}", "refused")
        status = self._robot.status()
        going = f"I go on with '{status.instruction}'." if status.instruction else "I am ready for an instruction."
        return Reply(going, "resumed")

    def _questioned(self, words: list[str]) -> Reply | None:
        about = question_about(words)
        if about is None:
            return None
        return Reply(answer(about, self._robot.status(), self._book, self._robot.objects))

    def _meant(self, words: list[str]) -> Reply:
        meaning = understand(words, self._book, objects=self._robot.objects, last=self._last)
        if isinstance(meaning, NotUnderstood):
            return Reply(meaning.answer, "refused")
        if isinstance(meaning, Choice):
            self._open = meaning
            return Reply(meaning.question, "question")
        if meaning.is_literal:
            return self._carry_out(meaning, is_low_accepted=False)
        self._open = _Confirmation(meaning, is_low_accepted=False)
        return Reply(f"You mean: {meaning.text}? (yes / no)", "question")

    def _carry_out(self, understood: Understood, *, is_low_accepted: bool) -> Reply:
        """Give the instruction to the controller, unless it cannot take it or the policy expects little of it."""
        status = self._robot.status()
        if status.is_stale or status.state in (ControllerState.INACTIVE, ControllerState.STOPPED):
            return Reply(f"I cannot do that now. {answer('why', status, self._book, None)}", "refused")
        try:
            expected = self._robot.expected_value(understood.text)
            if not is_low_accepted and status.min_value is not None and expected < status.min_value:
                self._open = _Confirmation(understood, is_low_accepted=True)
                return Reply(
                    f"I do not expect to manage '{understood.text}': its value is {expected:.2f}, below the level "
                    f"{status.min_value:.2f} at which I hold. Shall I try? (yes / no)",
                    "question",
                )
            self._robot.instruct(understood.text)
        except QsftError as problem:
            return Reply(f"I cannot do that. {problem}", "refused")
        self._last = understood
        hopes = "" if math.isnan(expected) else f" Its value is {expected:.2f}."
        if status.state is ControllerState.HOLDING:
            reason = "" if status.fault is None else f" {status.fault.text}"
            text = f"I have taken '{understood.text}' and still hold.{reason} Say 'resume' to let me move."
            return Reply(text, "instructed", understood.text)
        return Reply(f"{understood.text.capitalize()}: I begin.{hopes}", "instructed", understood.text)


def _not_stopped(problem: QsftError) -> Reply:
    return Reply(f"I do not know that the arm holds: use the emergency stop of the robot. {problem}", "refused")
