"""Language tasks by name, in the formats of LMRL-Gym."""

from __future__ import annotations

from types import MappingProxyType

from vlm_qsft.dialogue.tasks.chess_endgames import ChessEndgames, SmallEndgames
from vlm_qsft.dialogue.tasks.language_task import (
    EVALUATION,
    RECORDING,
    TUNING,
    LanguageTask,
    LogStatistics,
    ScoreScale,
    StepResult,
    game_generator,
    log_statistics,
    play,
)
from vlm_qsft.dialogue.tasks.maze import FullyObservedMaze, PartlyObservedMaze
from vlm_qsft.dialogue.tasks.text_navigation import TextNavigation
from vlm_qsft.dialogue.tasks.twenty_questions import TwentyQuestions
from vlm_qsft.dialogue.tasks.wordle import SmallWordle, Wordle
from vlm_qsft.errors import UnknownName

LANGUAGE_TASKS: MappingProxyType[str, type[LanguageTask]] = MappingProxyType(
    {
        task.name: task
        for task in (
            Wordle,
            SmallWordle,
            FullyObservedMaze,
            PartlyObservedMaze,
            ChessEndgames,
            SmallEndgames,
            TwentyQuestions,
            TextNavigation,
        )
    }
)

__all__ = [
    "EVALUATION",
    "LANGUAGE_TASKS",
    "RECORDING",
    "TUNING",
    "LanguageTask",
    "LogStatistics",
    "ScoreScale",
    "StepResult",
    "game_generator",
    "language_task",
    "log_statistics",
    "play",
]


def language_task(name: str) -> LanguageTask:
    """Return a task, ready to play.

    Raises:
        UnknownName: lists the tasks.
    """
    if name not in LANGUAGE_TASKS:
        raise UnknownName("language task", name, LANGUAGE_TASKS)
    return LANGUAGE_TASKS[name]()
