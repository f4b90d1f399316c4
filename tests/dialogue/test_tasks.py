"""The language tasks: their texts, their rewards, and the statistics of their logs."""

from __future__ import annotations

from math import isnan, nan, sqrt

import numpy as np
import pytest

from vlm_qsft.dialogue import Conversation, Message
from vlm_qsft.dialogue.tasks import EVALUATION, LANGUAGE_TASKS, RECORDING, game_generator, language_task, play
from vlm_qsft.errors import InvalidSetting, UnknownName


def logged(name: str, games: int) -> list[Conversation]:
    task = language_task(name)
    return [play(task, lambda _: task.logged_action(), game_generator(name, RECORDING, game)) for game in range(games)]


@pytest.mark.parametrize(
    ("name", "games", "mean_return", "success_rate", "mean_turns"),
    [
        ("wordle", 2000, -4.12, 0.70, nan),  # published
        ("wordle-small", 2000, -3.25, 0.82, 4.07),  # ours
        ("maze", 600, -83.0, nan, nan),  # published
        ("maze-partly-observed", 600, -83.0, nan, nan),  # published
        ("endgames", 120, 0.586, 0.59, 11.9),  # published
        ("endgames-small", 120, 0.34, 0.34, 14.6),  # ours
        ("twenty-questions", 400, -17.1, 0.48, nan),  # ours
        ("text-navigation", 600, 0.26, 0.26, nan),  # ours
    ],
)
def test_the_logs_have_the_statistics_that_the_task_states(
    name: str, games: int, mean_return: float, success_rate: float, mean_turns: float
) -> None:
    stated = LANGUAGE_TASKS[name].logs
    np.testing.assert_equal(
        [stated.mean_return, stated.success_rate, stated.mean_turns], [mean_return, success_rate, mean_turns]
    )
    conversations = logged(name, games)
    returns = np.array([conversation.total_reward for conversation in conversations])
    # Three standard errors, and a tenth of the spread for what is not LMRL-Gym's own (words, opponents).
    allowed = (3.0 / sqrt(games) + 0.1) * returns.std()
    assert returns.mean() == pytest.approx(mean_return, abs=allowed)
    if not isnan(success_rate):
        successes = np.mean([bool(conversation.attributes["success"]) for conversation in conversations])
        assert successes == pytest.approx(success_rate, abs=3 * sqrt(0.25 / games) + 0.03)
    if not isnan(mean_turns):
        turns = np.array([len(conversation.actions) for conversation in conversations])
        assert turns.mean() == pytest.approx(mean_turns, abs=(3 / sqrt(games) + 0.1) * turns.std())


@pytest.mark.parametrize("name", LANGUAGE_TASKS)
def test_every_game_ends_within_the_horizon_whatever_is_said(name: str) -> None:
    task = language_task(name)
    sayings = iter(["", "\n", "<|im_start|>system\n", "é" * 500 + "\n", "\x00\n"] * task.horizon)
    conversation = play(task, lambda _: next(sayings), game_generator(name, EVALUATION, 0))
    assert len(conversation.actions) == task.horizon
    assert conversation.terminated != conversation.truncated
    assert conversation.attributes["success"] is False


@pytest.mark.parametrize("name", LANGUAGE_TASKS)
def test_a_game_is_a_function_of_its_generator(name: str) -> None:
    assert logged(name, 2) == logged(name, 2)
    assert logged(name, 2)[0] != logged(name, 2)[1]


@pytest.mark.parametrize("name", LANGUAGE_TASKS)
def test_every_logged_return_lies_on_the_scale(name: str) -> None:
    task = LANGUAGE_TASKS[name]
    scale = task.reward_scale(task.gamma)
    for conversation in logged(name, 20):
        rewards = np.array([message.reward for message in conversation.actions])
        discounted = task.gamma ** np.arange(len(rewards)) @ rewards
        assert scale.low - 1e-9 <= discounted <= scale.high + 1e-9


@pytest.mark.parametrize("name", LANGUAGE_TASKS)
def test_action_texts_of_the_logs_end_with_the_end_of_the_task(name: str) -> None:
    for conversation in logged(name, 5):
        assert all(message.text.find("\n") == len(message.text) - 1 for message in conversation.actions)
        assert conversation.messages[-1] == Message("environment", conversation.messages[-1].text)


def test_published_scores_are_reproduced_by_the_published_raw_returns() -> None:
    wordle, maze = LANGUAGE_TASKS["wordle"].scores, LANGUAGE_TASKS["maze"].scores
    assert [round(wordle.score(raw)) for raw in (-2.81, -2.16, -2.04, -6.0)] == [80, 95, 98, 0]
    assert round(maze.score(-6.97), 1) == 99.9
    assert [round(maze.score(raw)) for raw in (-72.1, -48.1)] == [57, 73]
    assert round(LANGUAGE_TASKS["maze-partly-observed"].scores.score(-52.9)) == 76
    assert round(LANGUAGE_TASKS["endgames"].scores.score(0.112)) == 35


def test_a_maze_without_discount_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="gamma < 1"):
        LANGUAGE_TASKS["maze"].reward_scale(1.0)
    assert LANGUAGE_TASKS["maze"].reward_scale(0.9).low == pytest.approx(-10.0)


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="endgames, endgames-small, maze, maze-partly-observed"):
        language_task("go")
