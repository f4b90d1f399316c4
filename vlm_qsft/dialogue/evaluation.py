"""Evaluation of a text policy: seeded games, one durable line per game, scores as they are published."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.dialogue.checkpoint import TextCheckpoint
from vlm_qsft.dialogue.playing import GameResult, play_games
from vlm_qsft.dialogue.tasks import language_task
from vlm_qsft.errors import DatasetError, InvalidSetting
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.processes import Progress
from vlm_qsft.settings_record import refuse_other_settings

BLOCK = 512
"""Games that are played together; their lines are written together. Part of the seed: it decides who draws what."""

NORMAL_95 = 1.96
"""Standard deviations of the mean on either side: games are thousands, and returns bounded."""


@dataclass(frozen=True)
class ReturnSummary:
    """How a policy did.

    Attributes:
        episodes: games.
        mean_return: undiscounted, in the task's own unit.
        interval: 95 % interval of the mean.
        score: the mean, normalised as LMRL-Gym does: 0 minimum, 50 average of the published logs, 100 optimum.
        score_interval: likewise.
        success_rate: share of the games that ended with what was asked for.
        mean_turns: action texts per game.
    """

    episodes: int
    mean_return: float
    interval: tuple[float, float]
    score: float
    score_interval: tuple[float, float]
    success_rate: float
    mean_turns: float


def evaluate_text(
    checkpoint: TextCheckpoint,
    settings: PolicySettings,
    *,
    episodes: int,
    purpose: int,
    out: Path | None = None,
    progress: Progress | None = None,
) -> list[GameResult]:
    """Play games and return how they ended; interrupted, the same call continues after the last whole block.

    Args:
        episodes: games, the same ones for every policy.
        purpose: `TUNING` or `EVALUATION`.
        out: JSON Lines file, one line per game below one about the policy; None writes nothing.
        progress: called with (games complete, games in all).

    Raises:
        InvalidSetting: a network that the settings need is not there, or `out` holds results of another policy.
        DatasetError: `out` holds something else.
        StorageError: disk full; whole blocks are kept.
    """
    reader = checkpoint.reader(settings)
    asked = {
        "task": checkpoint.text_format.task,
        "checkpoint": checkpoint.identity,
        "purpose": purpose,
        "policy": settings.to_json(),
    }
    if out is None:
        results: list[GameResult] = []
        for games in _blocks(episodes, 0):
            results += play_games(reader, settings, checkpoint.text_format, games, purpose=purpose, seed=0)
        return results
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    results = _read(out, asked)
    results = results[: len(results) // BLOCK * BLOCK] if len(results) < episodes else results[:episodes]
    for games in _blocks(episodes, len(results)):
        results += play_games(reader, settings, checkpoint.text_format, games, purpose=purpose, seed=0)
        lines = [json.dumps(asked), *(json.dumps(asdict(result)) for result in results)]
        write_durably(out, ("\n".join(lines) + "\n").encode())
        if progress is not None:
            progress(len(results), episodes)
    return results


def summarise_returns(task: str, results: Sequence[GameResult]) -> ReturnSummary:
    """Return the summary of at least one game."""
    mean, low, high = _mean_interval([result.total_reward for result in results])
    scores = language_task(task).scores
    return ReturnSummary(
        episodes=len(results),
        mean_return=mean,
        interval=(low, high),
        score=scores.score(mean),
        score_interval=(scores.score(low), scores.score(high)),
        success_rate=fmean(result.success for result in results),
        mean_turns=fmean(result.turns for result in results),
    )


@dataclass(frozen=True)
class ReturnDifference:
    """How much more one policy returns than another in the same games.

    Attributes:
        mean: of the differences, undiscounted, in the task's own unit.
        interval: 95 % interval of the mean.
    """

    mean: float
    interval: tuple[float, float]


def return_difference(first: Sequence[GameResult], second: Sequence[GameResult]) -> ReturnDifference:
    """Return the paired difference of two policies in at least one game.

    Raises:
        InvalidSetting: they did not play the same games.
    """
    if [result.game for result in first] != [result.game for result in second] or not first:
        raise InvalidSetting(
            f"{len(first)} and {len(second)} results of different games: a paired difference needs the same games."
        )
    mean, low, high = _mean_interval([a.total_reward - b.total_reward for a, b in zip(first, second, strict=True)])
    return ReturnDifference(mean, (low, high))


def _mean_interval(numbers: Sequence[float]) -> tuple[float, float, float]:
    values = np.array(numbers)
    mean, half = float(values.mean()), NORMAL_95 * float(values.std()) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _blocks(episodes: int, begin: int) -> list[range]:
    return [range(first, min(first + BLOCK, episodes)) for first in range(begin, episodes, BLOCK)]


def _read(out: Path, asked: Mapping[str, Any]) -> list[GameResult]:
    if not out.is_file():
        return []
    try:
        begun, *lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        results = [GameResult(**line) for line in lines]
        if begun.keys() != asked.keys():
            raise InvalidSetting(f"{out} holds results of something else. Write to another file.")
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{out} holds no results of games ({error!r}). Write to another file.") from error
    refuse_other_settings(out, begun=begun, asked=asked)
    return results
