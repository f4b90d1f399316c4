"""What the logs of the maze hold, exactly: tables fitted to the targets of the backups, no network between."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pytest

from vlm_qsft.dialogue import PlainRenderer, tokenize
from vlm_qsft.dialogue.tasks import RECORDING, game_generator, language_task, play
from vlm_qsft.dialogue.tasks.maze import GOAL, MOVES, Cell, distances, moved
from vlm_qsft.dialogue.text_table import TextTable, text_table
from vlm_qsft.dialogue.tokenizers import PieceTokenizer

GAMES, GAMMA = 400, 0.97
_POSITION = re.compile(r"Your current position is at position ([\d ]+), ([\d ]+)\.")
NOWHERE: Cell = (-1, -1)
"""What is read where a game is over."""


@lru_cache
def logged() -> tuple[list, PlainRenderer]:
    task = language_task("maze")
    games = [play(task, lambda _: task.logged_action(), game_generator("maze", RECORDING, g)) for g in range(GAMES)]
    return games, PlainRenderer(PieceTokenizer.fit(message.text for game in games for message in game.messages))


def cell_of(text: str) -> Cell:
    found = _POSITION.search(text)
    return (int(found[1].replace(" ", "")), int(found[2].replace(" ", ""))) if found else NOWHERE


@lru_cache
def fitted(n_step: int) -> dict[tuple[Cell, str], float]:
    """Return Q of every logged cell and move: the fixed point of the n-step backup of the logged players' value."""
    games, renderer = logged()
    scale = language_task("maze").reward_scale(GAMMA)
    tokens = [tokenize(game, renderer, context_turns=1) for game in games]
    table = text_table(tokens, np.zeros(GAMES, bool), scale, gamma=GAMMA, horizon=n_step)
    first = table.first_row[:-1][np.diff(table.first_row) > 0]  # one row per move: all its tokens have one target
    pairs = [(cell_of(seen), move) for seen, move in (moves_of(table, renderer, row) for row in first)]
    keys = sorted(set(pairs))
    pair = np.array([keys.index(p) for p in pairs])
    cells = sorted({cell for cell, _ in keys})
    cell = np.array([cells.index(p[0]) for p in pairs])
    ahead = [cell_of(context_text(table, renderer, int(c))) for c in table.next_context[first]]
    next_cell = np.array([cells.index(c) if c in cells else len(cells) for c in ahead])
    step = table.transitions
    reward, reach = step.reward[first], np.where(step.bootstrap_mask[first], step.discount[first], 0.0)
    value = np.zeros(len(cells) + 1)
    for _ in range(1500):
        targets = reward + reach * value[next_cell]
        value[:-1] = np.bincount(cell, targets) / np.bincount(cell)
    q_values = np.bincount(pair, targets) / np.bincount(pair)
    return dict(zip(keys, q_values.tolist(), strict=True))


def context_text(table: TextTable, renderer: PlainRenderer, context: int) -> str:
    return renderer.text_of(table.contents[table.content[context]].tolist())


def moves_of(table: TextTable, renderer: PlainRenderer, row: int) -> tuple[str, str]:
    text = context_text(table, renderer, int(table.context[row]))
    seen, move, _ = re.split(r"(move \w+\n)", text)
    return seen, move


def test_one_step_of_improvement_on_the_value_of_the_logged_players_solves_the_maze_that_no_log_solves() -> None:
    q_values = fitted(1)
    wrong = []
    for cell in {cell for cell, _ in q_values}:
        best = max(MOVES, key=lambda move, cell=cell: q_values.get((cell, move), -1.0))
        if distances()[moved(cell, best)] != min(distances()[moved(cell, move)] for move in MOVES):
            wrong.append(cell)
    assert wrong == []
    assert GOAL not in {cell for cell, _ in q_values}


@pytest.mark.parametrize("n_step", [10])
def test_targets_many_moves_ahead_undervalue_what_must_be_stitched(n_step: int) -> None:
    """A log that enters a part of the maze from the arms never leaves it: within n moves nothing is stitched."""
    one, many = fitted(1), fitted(n_step)
    arm, stem = ((1, 1), "move right\n"), ((7, 6), "move down\n")
    assert many[arm] < 0.6 * one[arm]
    assert many[stem] == pytest.approx(one[stem], rel=0.02)
