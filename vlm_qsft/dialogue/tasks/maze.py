"""LMRL-Gym's maze: a double T in which the logs never lead from a start in an arm to the goal in the stem.

Fully observed, the position is said; partly observed, the walls around it are all there is, and the past tells the
rest. A move costs 1, the one that reaches the goal nothing, a text that is no move 4. The player is not told how many
moves are left: after 100 the game is truncated.

The logged players stay inside one of three parts of the maze, which overlap in one cell: the arms lead out of their
dead ends, the stem leads to the goal. So no log reaches the goal from an arm, and imitation cannot either: what is
known of the stem must be stitched to what is known of the arms.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache

import numpy as np

from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tasks.language_task import LanguageTask, LogStatistics, ScoreScale, StepResult
from vlm_qsft.errors import InvalidSetting

Cell = tuple[int, int]

FLOOR_PLAN = (
    "#############",
    "#.....#.....#",
    "###.#####.###",
    "###.#####.###",
    "###.#####.###",
    "###.......###",
    "######.######",
    "######.######",
    "######.######",
    "#############",
)
GOAL: Cell = (8, 6)
MOVES: dict[str, Cell] = {
    "move left\n": (0, -1),
    "move right\n": (0, 1),
    "move up\n": (-1, 0),
    "move down\n": (1, 0),
}
MOVE_LIMIT = 100
SHARE_SOLVER = 0.15
"""Share of the logged games that a solver plays, as far as it may; the rest is played at random."""

# The order in which walls are said.
_SIDES = (("to your right", (0, 1)), ("to your left", (0, -1)), ("above you", (-1, 0)), ("below you", (1, 0)))
_FREE = frozenset(
    (row, column) for row, line in enumerate(FLOOR_PLAN) for column, place in enumerate(line) if place == "."
)
_LEFT_JOINT, _RIGHT_JOINT = (5, 3), (5, 9)
PARTS: tuple[frozenset[Cell], ...] = (
    frozenset(cell for cell in _FREE if cell[0] < 5 and cell[1] < 6) | {_LEFT_JOINT},
    frozenset(cell for cell in _FREE if cell[0] < 5 and cell[1] > 6) | {_RIGHT_JOINT},
    frozenset(cell for cell in _FREE if cell[0] >= 5),
)
"""Left arm, right arm, stem."""


def moved(cell: Cell, move: str) -> Cell:
    """Return the cell after a move; walls stop it."""
    row, column = MOVES[move]
    after = (cell[0] + row, cell[1] + column)
    return after if after in _FREE else cell


@lru_cache
def distances() -> dict[Cell, int]:
    """Return the number of moves from every cell to the goal, by breadth-first search."""
    found = {GOAL: 0}
    waiting = deque([GOAL])
    while waiting:
        cell = waiting.popleft()
        for move in MOVES:
            neighbour = moved(cell, move)
            if neighbour not in found:
                found[neighbour] = found[cell] + 1
                waiting.append(neighbour)
    return found


def best_move(cell: Cell) -> str:
    """Return the move towards the goal."""
    return min(MOVES, key=lambda move: distances()[moved(cell, move)])


def wall_text(cell: Cell) -> str:
    """Return the walls around a cell in words."""
    walls = [side for side, (row, column) in _SIDES if (cell[0] + row, cell[1] + column) not in _FREE]
    if not walls:
        return "There are no walls near you."
    return f"There is a wall {walls[0]}." if len(walls) == 1 else f"There are walls {', '.join(walls)}."


def place_text(cell: Cell) -> str:
    """Return a place as it is said, its digits apart: `1 1, 6`."""
    return f"{' '.join(str(cell[0]))}, {' '.join(str(cell[1]))}"


class _Maze(LanguageTask):
    """What both mazes share.

    Attributes:
        start: where the game began.
    """

    horizon = MOVE_LIMIT
    gamma = 0.95
    logs = LogStatistics(mean_return=-83.0)
    logs_source = "LMRL-Gym: mean return -83"
    start: Cell

    def reset(self, generator: np.random.Generator) -> str:
        """Draw a start: any free cell but the goal."""
        starts = sorted(_FREE - {GOAL})
        return self.begin(starts[generator.integers(len(starts))], generator)

    def begin(self, start: Cell, generator: np.random.Generator) -> str:
        """Begin at a given cell."""
        self.start = self._cell = start
        self._generator, self._moves = generator, 0
        parts = [part for part in PARTS if start in part]
        self._part = parts[generator.integers(len(parts))]
        self._is_solved = bool(generator.random() < SHARE_SOLVER)
        return self._observation()

    def step(self, action: str) -> StepResult:
        """Answer a move."""
        self._moves += 1
        out_of_time = self._moves == MOVE_LIMIT
        if action not in MOVES:
            return StepResult(self._observation(), -4.0, truncated=out_of_time)
        self._cell = moved(self._cell, action)
        if self._cell == GOAL:
            return StepResult("Success\n", 0.0, terminated=True, success=True)
        return StepResult(self._observation(), -1.0, truncated=out_of_time)

    def logged_action(self) -> str:
        """Move towards the goal or at random, as was drawn for this game, but never out of this part of the maze."""
        allowed = [move for move in MOVES if moved(self._cell, move) in self._part]
        solving = best_move(self._cell)
        if self._is_solved and solving in allowed:
            return solving
        return allowed[self._generator.integers(len(allowed))]

    def expert_action(self) -> str:
        """Move towards the goal."""
        return best_move(self._cell)

    @classmethod
    def reward_scale(cls, gamma: float) -> RewardScale:
        """Return the scale: moves without end, or the goal at once. A move then earns 0, the goal 1.

        Raises:
            InvalidSetting: gamma is 1: a walk without end has no return.
        """
        if gamma >= 1.0:
            raise InvalidSetting(f"gamma is {gamma:g}: a maze has no limit that the player sees; expected gamma < 1.")
        return RewardScale(-1.0 / (1.0 - gamma), 0.0)

    def _observation(self) -> str:
        raise NotImplementedError


class FullyObservedMaze(_Maze):
    """The position is said: one observation is all there is to know."""

    name = "maze"
    purpose = "find the goal of a maze, told where one is; -1 per move"
    context_turns = 1
    scores = ScoreScale(minimum=-101.0, data_average=-83.0, maximum=-6.84)

    def _observation(self) -> str:
        return (
            f"The goal is at position {place_text(GOAL)}. Your current position is at position "
            f"{place_text(self._cell)}. {wall_text(self._cell)}\n"
        )


class PartlyObservedMaze(_Maze):
    """The walls are said; the moves so far tell the rest. LMRL-Gym shows the last 40 texts, we the last 20 turns or
    less: a policy forgets after every 20th turn, so that one pass of a model reads a whole game."""

    name = "maze-partly-observed"
    purpose = "find the goal of a maze, told the walls around one only; -1 per move"
    context_turns = 20
    scores = ScoreScale(minimum=-101.0, data_average=-83.0, maximum=-25.75)

    def _observation(self) -> str:
        return f"{wall_text(self._cell)}\n"
