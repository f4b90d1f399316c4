"""The maze: texts as published, the optimum, and logs from which only stitching reaches the goal."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.tasks import RECORDING, TUNING, game_generator, play
from vlm_qsft.dialogue.tasks.maze import GOAL, MOVES, PARTS, FullyObservedMaze, PartlyObservedMaze, distances, moved


def test_the_optimal_mean_return_over_all_starts_is_the_published_one() -> None:
    starts = [cell for cell in distances() if cell != GOAL]
    assert len(starts) == 25
    returns = []
    for start in starts:
        maze = FullyObservedMaze()
        maze.begin(start, np.random.default_rng(0))
        total = 0.0
        while not (result := maze.step(maze.expert_action())).terminated:
            total += result.reward
        returns.append(total + result.reward)
    assert np.mean(returns) == pytest.approx(-6.84, abs=1e-9)


def test_the_observations_are_worded_as_published() -> None:
    maze = FullyObservedMaze()
    text = maze.begin((1, 11), np.random.default_rng(0))
    assert text == (
        "The goal is at position 8, 6. Your current position is at position 1, 1 1. "
        "There are walls to your right, above you, below you.\n"
    )
    maze.begin((1, 3), np.random.default_rng(0))
    assert maze.step("move up\n").observation.endswith("There is a wall above you.\n")
    assert (
        PartlyObservedMaze().begin((2, 3), np.random.default_rng(0)) == "There are walls to your right, to your left.\n"
    )


def test_a_move_costs_one_the_goal_nothing_and_no_move_four() -> None:
    maze = FullyObservedMaze()
    maze.begin((7, 6), np.random.default_rng(0))
    assert [maze.step(text).reward for text in ("move left\n", "jump\n", "move down")] == [-1.0, -4.0, -4.0]
    result = maze.step("move down\n")
    assert (result.observation, result.reward, result.terminated, result.success) == ("Success\n", 0.0, True, True)


def test_after_a_hundred_moves_the_game_is_truncated_and_not_terminated() -> None:
    maze = FullyObservedMaze()
    maze.begin((1, 1), np.random.default_rng(0))
    results = [maze.step("move up\n") for _ in range(100)]
    assert [result.truncated for result in results] == [False] * 99 + [True]
    assert not any(result.terminated for result in results)


def test_no_log_reaches_the_goal_from_an_arm_but_together_they_know_every_move_of_the_way() -> None:
    logged_moves: set[tuple[tuple[int, int], str]] = set()
    maze = FullyObservedMaze()
    for game in range(300):
        cells, moves = [], []

        def act(_: object, cells: list = cells, moves: list = moves) -> str:
            cells.append(maze._cell)
            moves.append(maze.logged_action())
            return moves[-1]

        conversation = play(maze, act, game_generator(maze.name, RECORDING, game))
        if conversation.attributes["success"]:
            assert maze.start in PARTS[2]
        assert any(set(cells) <= part for part in PARTS)
        logged_moves |= set(zip(cells, moves, strict=True))
    for cell, distance in distances().items():
        towards = {move for move in MOVES if distances()[moved(cell, move)] < distance}
        assert distance == 0 or any((cell, move) in logged_moves for move in towards)


def test_moves_cloned_from_the_logs_cell_by_cell_return_what_the_logs_return() -> None:
    maze, returns = FullyObservedMaze(), []
    said: dict[str, list[str]] = {}
    for game in range(600):
        logged = play(maze, lambda _: maze.logged_action(), game_generator(maze.name, RECORDING, game))
        returns.append(logged.total_reward)
        for observed, action in zip(logged.messages[::2], logged.actions, strict=False):
            said.setdefault(observed.text, []).append(action.text)
    generator = np.random.default_rng(0)

    def clone(conversation: Conversation) -> str:
        return str(generator.choice(said[conversation.messages[-1].text]))

    cloned = [play(maze, clone, game_generator(maze.name, TUNING, game)).total_reward for game in range(256)]
    error = np.hypot(np.std(returns) / 600**0.5, np.std(cloned) / 256**0.5)
    assert np.mean(cloned) == pytest.approx(np.mean(returns), abs=3 * error)
    # What SFT can reach: published are 58, ours is 42; between what logs return and this are 7 points for 2.4 moves.
    assert 36 < maze.scores.score(float(np.mean(cloned))) < 58
