"""Twenty questions in LMRL-Gym's format, with a table as the oracle.

    Questions:
    Is it an animal?
    No.

LMRL-Gym's oracle is a language model that was trained on answers of another one. Ours is `twenty_questions.txt`: it
answers the questions written there and guesses of the objects ("Is it a cat?"), and "No." to everything else. So the
game is about which questions tell most, not about how they are put, and raw returns are not LMRL-Gym's.
A question costs 1, the right guess nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tasks.language_task import (
    Augmenter,
    LanguageTask,
    LogStatistics,
    ScoreScale,
    StepResult,
)
from vlm_qsft.dialogue.tasks.other_pasts import OtherPasts

QUESTIONS = 20
SHARE_THOUGHTFUL = 0.3
"""Share of the logged questions that halve what is left; the rest is any question that was not asked yet."""
GUESS_FROM = 2
"""Objects left from which a thoughtful player guesses."""


@dataclass(frozen=True)
class OracleTable:
    """Who has what.

    Attributes:
        questions: every one that is answered by the table, without line end.
        objects: sorted as in the file.
        has: whether the answer is yes.
    """

    questions: tuple[str, ...]
    objects: tuple[str, ...]
    has: Bool[np.ndarray, "object question"]


@lru_cache
def oracle_table() -> OracleTable:
    """Return the table of the file; guesses are questions too, behind those of the properties."""
    lines = (Path(__file__).parent / "twenty_questions.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    properties = dict(line.split(" = ") for line in lines if " = " in line)
    objects = {name: words.split() for name, words in (line.split(": ") for line in lines if " = " not in line)}
    has = np.array([[name in words for name in properties] for words in objects.values()])
    guesses = tuple(guess_of(name) for name in objects)
    is_guessed = np.eye(len(objects), dtype=bool)
    return OracleTable((*properties.values(), *guesses), tuple(objects), np.hstack([has, is_guessed]))


def guess_of(name: str) -> str:
    """Return the question that guesses an object: `Is it a cat?`"""
    plural = name in ("trousers", "scissors")
    article = "" if plural else "an " if name[0] in "aeiou" else "a "
    return f"{'Are they' if plural else 'Is it'} {article}{name}?"


class TwentyQuestions(LanguageTask):
    """See the module."""

    name = "twenty-questions"
    purpose = "find out what is thought of; -1 per question"
    horizon = QUESTIONS
    gamma = 1.0
    logs = LogStatistics(mean_return=-17.1, success_rate=0.48)
    logs_source = "our own logs: the oracle is a table, so LMRL-Gym's are no measure"
    scores = ScoreScale(minimum=-20.0, data_average=-17.1, maximum=-7.48)

    def reset(self, generator: np.random.Generator) -> str:
        """Think of an object."""
        self._generator = generator
        table = oracle_table()
        self._hidden = int(generator.integers(len(table.objects)))
        self._left = np.ones(len(table.objects), bool)
        self._fresh = np.ones(len(table.questions), bool)
        self._asked = 0
        return "Questions:\n"

    def step(self, action: str) -> StepResult:
        """Answer a question."""
        self._asked += 1
        is_last = self._asked == QUESTIONS
        table = oracle_table()
        text = action.removesuffix(self.end)
        if text not in table.questions:
            return StepResult("No.\n", -1.0, terminated=is_last)
        question = table.questions.index(text)
        answer = table.has[self._hidden, question]
        self._left &= table.has[:, question] == answer
        self._fresh[question] = False
        guessed = bool(answer) and question == len(table.questions) - len(table.objects) + self._hidden
        return StepResult(
            "Yes.\n" if answer else "No.\n",
            0.0 if guessed else -1.0,
            terminated=guessed or is_last,
            success=guessed,
        )

    def logged_action(self) -> str:
        """Ask thoughtfully, or any question that was not asked yet."""
        if self._generator.random() < SHARE_THOUGHTFUL:
            return self.expert_action()
        return oracle_table().questions[self._generator.choice(np.flatnonzero(self._fresh))] + self.end

    def expert_action(self) -> str:
        """Ask what halves the objects left; guess when there are few."""
        table = oracle_table()
        left = np.flatnonzero(self._left)
        n_properties = len(table.questions) - len(table.objects)
        if len(left) <= GUESS_FROM:
            return table.questions[n_properties + int(left[0])] + self.end
        split = np.abs(2 * table.has[left].sum(axis=0) - len(left)) + np.where(self._fresh, 0, len(left) + 1)
        return table.questions[int(np.argmin(split))] + self.end

    @classmethod
    def reward_scale(cls, gamma: float) -> RewardScale:
        """Return the scale: twenty questions in vain, or the right guess at once."""
        return RewardScale.of_costs(QUESTIONS, gamma)

    @classmethod
    def augmenter(cls, conversations: Sequence[Conversation]) -> Augmenter:
        """Give solutions other pasts; see `OtherPasts`."""
        return OtherPasts(conversations, horizon=cls.horizon)
