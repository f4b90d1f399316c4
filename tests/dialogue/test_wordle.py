"""Wordle: feedback by hand, rewards, and the optimum."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.dialogue.tasks import game_generator
from vlm_qsft.dialogue.tasks.wordle import (
    SmallWordle,
    Wordle,
    feedback,
    feedback_table,
    feedback_text,
    guess_text,
    wordle_words,
)


def game(hidden: str) -> Wordle:
    """Return a game in which a given word is hidden."""
    for number in range(10_000):
        wordle = Wordle()
        wordle.reset(game_generator("wordle", 0, number))
        if wordle_words()[wordle._hidden] == hidden:
            return wordle
    raise AssertionError(hidden)


@pytest.mark.parametrize(
    ("guess", "hidden", "text"),
    [
        ("crane", "crane", "g g g g g\n"),
        ("crane", "earth", "b y y b y\n"),
        ("eerie", "there", "y y y b g\n"),  # e, e and r stand elsewhere: letters are not counted
        ("steel", "blood", "b b b b y\n"),
    ],
)
def test_feedback_marks_letters_anywhere_without_counting_them(guess: str, hidden: str, text: str) -> None:
    assert feedback_text(feedback(guess, hidden)) == text


def test_there_are_400_words_of_five_letters() -> None:
    words = wordle_words()
    assert len(words) == len(set(words)) == 400
    assert all(len(word) == 5 and word.isascii() and word.islower() for word in words)


def test_the_right_guess_costs_nothing_and_ends_the_game() -> None:
    wordle = game("music")
    assert wordle.step("w a t e r\n").reward == -1.0
    result = wordle.step("m u s i c\n")
    assert (result.reward, result.terminated, result.success) == (0.0, True, True)
    assert result.observation == "g g g g g\n"


@pytest.mark.parametrize("text", ["z z z z z\n", "music\n", "m u s i c", "m u s i c\n\n", "M U S I C\n"])
def test_what_is_no_guess_is_answered_by_an_empty_line_and_costs_one(text: str) -> None:
    result = game("music").step(text)
    assert (result.observation, result.reward, result.terminated) == ("\n", -1.0, False)


def test_the_sixth_wrong_guess_ends_the_game_without_success() -> None:
    wordle = game("music")
    results = [wordle.step("w a t e r\n") for _ in range(6)]
    assert [result.terminated for result in results] == [False] * 5 + [True]
    assert not results[-1].success


@pytest.mark.parametrize(("kind", "optimum"), [(Wordle, -1.9125), (SmallWordle, -1.36)])
def test_the_expert_reaches_the_optimum_over_all_words(kind: type[Wordle], optimum: float) -> None:
    """Published is -1.94, the mean of 1,000 games over LMRL-Gym's words (standard error 0.02)."""
    returns = []
    for hidden in range(len(kind.words())):
        wordle = kind()
        wordle.reset(np.random.default_rng(0))
        wordle._hidden = hidden
        rewards = []
        while not (result := wordle.step(wordle.expert_action())).terminated:
            rewards.append(result.reward)
        returns.append(sum(rewards) + result.reward)
    assert np.mean(returns) == pytest.approx(optimum)
    assert min(returns) > -6.0


@pytest.mark.parametrize(("opening", "expected"), [(None, -2.38), ("trace", -2.05)])
def test_any_word_that_agrees_is_a_bound_that_the_opening_moves(opening: str | None, expected: float) -> None:
    """The bounds that a policy is compared with; the second opens with the word that says most."""
    words, generator, returns = wordle_words(), np.random.default_rng(0), []
    for hidden in np.tile(np.arange(len(words)), 5).tolist():
        wordle, reward, result = Wordle(), 0.0, None
        wordle.reset(generator)
        wordle._hidden = hidden
        assert opening is None or wordle.expert_action() == guess_text(opening)
        while result is None or not result.terminated:
            agrees = words[generator.choice(np.flatnonzero(wordle._consistent))]
            result = wordle.step(guess_text(opening if opening and result is None else agrees))
            reward += result.reward
        returns.append(reward)
    assert np.mean(returns) == pytest.approx(expected, abs=0.06)


def test_the_small_game_knows_no_other_words_than_its_own() -> None:
    small, other = SmallWordle(), next(word for word in wordle_words() if word not in SmallWordle.words())
    small.reset(np.random.default_rng(0))
    assert len(SmallWordle.words()) == 50 and set(SmallWordle.words()) < set(wordle_words())
    assert small.step(guess_text(other)).observation == "\n"
    assert small.step(guess_text(SmallWordle.words()[small._hidden])).success


def test_the_table_of_feedback_agrees_with_the_rule() -> None:
    words = wordle_words()
    table = feedback_table(words)
    for guess, hidden in ((0, 0), (3, 399), (200, 7)):
        assert table[guess, hidden] == feedback(words[guess], words[hidden])
    assert guess_text("music") == "m u s i c\n"
