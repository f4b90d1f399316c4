"""Wordle as LMRL-Gym plays it: six guesses, feedback in letters, every character apart from the next by a space.

    Wordle:
    c r a n e
    b y g b b        b: not in the word; y: somewhere else in the word, without counting letters twice; g: here

A guess costs 1, the right one nothing. A guess that is no word of the list costs 1 too and is answered by an empty
line. The hidden word is one of 400: LMRL-Gym's own list has no licence, so ours is drawn from SCOWL's most common
words; see `wordle_words.txt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int16

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

WORD_LENGTH = 5
GUESSES = 6
LETTERS = "byg"
SOLVED = 3**WORD_LENGTH - 1

SHARE_CONSISTENT = 0.33
"""Share of the logged guesses that agree with the feedback so far; the rest is any word of the list."""


@lru_cache
def wordle_words() -> tuple[str, ...]:
    """Return the words, sorted."""
    lines = (Path(__file__).parent / "wordle_words.txt").read_text(encoding="utf-8").splitlines()
    return tuple(word for line in lines if not line.startswith("#") for word in line.split())


def feedback(guess: str, hidden: str) -> int:
    """Return the feedback as a number in base 3, the first letter in the highest place: 0 b, 1 y, 2 g."""
    number = 0
    for letter, right in zip(guess, hidden, strict=True):
        number = 3 * number + (2 if letter == right else int(letter in hidden))
    return number


@lru_cache
def feedback_table(words: tuple[str, ...]) -> Int16[np.ndarray, "guess hidden"]:
    """Return the feedback of every guess on every hidden word."""
    return np.array([[feedback(guess, hidden) for hidden in words] for guess in words], np.int16)


def feedback_text(number: int) -> str:
    """Return the feedback as it is observed: `b y g b b` and a line end."""
    digits = [number // 3**place % 3 for place in range(WORD_LENGTH - 1, -1, -1)]
    return " ".join(LETTERS[digit] for digit in digits) + "\n"


def most_informative(words: tuple[str, ...], consistent: Bool[np.ndarray, " word"]) -> int:
    """Return the consistent word that leaves the least expected log-number of words; of equal ones the first.

    LMRL-Gym's optimum of -1.94 is the mean return of this player.
    """
    candidates = np.flatnonzero(consistent)
    table = feedback_table(words)[np.ix_(candidates, candidates)]
    left = [np.bincount(row)[np.unique(row)] for row in table]
    expected = [float(counts @ np.log(counts)) for counts in left]
    return int(candidates[int(np.argmin(np.round(expected, 9)))])


class Wordle(LanguageTask):
    """See the module."""

    name = "wordle"
    purpose = "guess a hidden word in six tries; -1 per wrong guess"
    horizon = GUESSES
    gamma = 1.0
    logs = LogStatistics(mean_return=-4.12, success_rate=0.70)
    logs_source = "LMRL-Gym: -4.12 with standard deviation 1.59, success .70"
    scores = ScoreScale(minimum=-6.0, data_average=-4.12, maximum=-1.94)
    pieces = r"[a-z](?: [a-z]){4}\n"

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """Return the list: what may be hidden, and all that may be guessed."""
        return wordle_words()

    def reset(self, generator: np.random.Generator) -> str:
        """Hide a word."""
        self._generator = generator
        self._hidden = int(generator.integers(len(self.words())))
        self._consistent = np.ones(len(self.words()), bool)
        self._guesses = 0
        return "Wordle:\n"

    def step(self, action: str) -> StepResult:
        """Answer a guess."""
        self._guesses += 1
        is_last = self._guesses == GUESSES
        word = action.removesuffix(self.end).replace(" ", "")
        if word not in self.words() or action != guess_text(word):
            return StepResult("\n", -1.0, terminated=is_last)
        of_guess = feedback_table(self.words())[self.words().index(word)]
        answer = of_guess[self._hidden]
        self._consistent &= of_guess == answer
        solved = bool(answer == SOLVED)
        return StepResult(
            feedback_text(int(answer)), 0.0 if solved else -1.0, terminated=solved or is_last, success=solved
        )

    def logged_action(self) -> str:
        """Guess a word that agrees with the feedback so far, or any word of the list."""
        candidates = self._consistent if self._generator.random() < SHARE_CONSISTENT else np.ones_like(self._consistent)
        return guess_text(self.words()[self._generator.choice(np.flatnonzero(candidates))])

    def expert_action(self) -> str:
        """Guess the word from which most is learned."""
        words = self.words()
        guess = _first_guess(words) if self._consistent.all() else most_informative(words, self._consistent)
        return guess_text(words[guess])

    @classmethod
    def reward_scale(cls, gamma: float) -> RewardScale:
        """Return the scale: six wrong guesses, or the right one at once."""
        return RewardScale.of_costs(GUESSES, gamma)

    @classmethod
    def augmenter(cls, conversations: Sequence[Conversation]) -> Augmenter:
        """Give solutions other pasts; see `OtherPasts`. The letters of a guess are answered one by one."""
        return OtherPasts(conversations, horizon=cls.horizon, by_parts=True)


class SmallWordle(Wordle):
    """Wordle with every eighth word of the list: the same game, learned in minutes."""

    name = "wordle-small"
    purpose = "guess a hidden word of 50 in six tries; -1 per wrong guess"
    logs = LogStatistics(mean_return=-3.25, success_rate=0.82, mean_turns=4.07)
    logs_source = "ours"
    scores = ScoreScale(minimum=-6.0, data_average=-3.25, maximum=-1.36)

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """Return every eighth word."""
        return wordle_words()[::8]


def guess_text(word: str) -> str:
    """Return a word as an action text: `c r a n e` and a line end."""
    return " ".join(word) + "\n"


@lru_cache
def _first_guess(words: tuple[str, ...]) -> int:
    return most_informative(words, np.ones(len(words), bool))
