"""Every source of outcomes that `qsft label --outcome` names, asked about every episode."""

from __future__ import annotations

import re

from qsft_datasets.labeling.outcome import Outcome, Verdict, Verdicts, decide
from qsft_datasets.labeling.outcome_csv import csv_verdicts, refuse_missing
from qsft_datasets.labeling.recorded import (
    episode_keys,
    episode_values,
    flagged_verdicts,
    recorded_verdicts,
    refuse_constant,
    refuse_unlabelled,
    stored_verdicts,
    unique_keys,
)
from qsft_datasets.labeling.request import OutcomeRequest
from qsft_datasets.labeling.review.decisions import read_decisions
from qsft_datasets.labeling.source_rewards import reward_column
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.errors import DatasetError

# Not next to a letter: "unsuccessful" and "failsafe" are other words.
SUCCESS_WORD = re.compile(r"(?<![a-z])success(es|ful)?(?![a-z])", re.IGNORECASE)
FAILURE_WORD = re.compile(r"(?<![a-z])(fail(ed|ure|ures|s)?|unsuccessful)(?![a-z])", re.IGNORECASE)


def decide_outcomes(reader: DatasetReader, n_episodes: int, request: OutcomeRequest) -> list[Outcome]:
    """Return the outcome of every recorded episode.

    Raises:
        DatasetError, UnknownName: a source cannot say what it was asked for, or nobody decides on an episode.
    """
    recorded = recorded_verdicts(reader, n_episodes)
    if not request.sources:
        stored = stored_verdicts(reader, n_episodes)
        if all(verdict is None for verdict in stored):
            stored = recorded
        if all(verdict is None for verdict in stored):
            raise refuse_unlabelled(reader.root)
        return decide([stored], recorded)
    candidates = [asked(reader, n_episodes, request, source=source, recorded=recorded) for source in request.sources]
    if request.sources == ("csv",) and request.csv is not None:
        refuse_missing(request.csv, list(candidates[0]))
    return decide(candidates, recorded)


def asked(
    reader: DatasetReader, n_episodes: int, request: OutcomeRequest, *, source: str, recorded: Verdicts
) -> Verdicts:
    """Return what one source says of every episode. Raises as `decide_outcomes`."""
    if source == "flag" and request.flag is not None:
        return flagged_verdicts(
            reader, n_episodes, column=request.flag, threshold=request.threshold, where=request.where
        )
    if source == "flag":
        if all(verdict is None for verdict in recorded):
            raise DatasetError(
                f"{reader.root} has no column of success that tells episodes apart. Name one with --flag COLUMN "
                f"(columns: {', '.join(sorted(reader.metadata.widths))}), or use another source of outcomes."
            )
        return recorded
    if source == "path":
        return path_verdicts(reader, n_episodes, pattern=request.pattern)
    if source == "reward":
        return reward_verdicts(reader, n_episodes, threshold=request.threshold, where=request.where)
    if source == "csv" and request.csv is not None:
        return csv_verdicts(request.csv, n_episodes, unique_keys(reader, n_episodes))
    if source == "review":
        return read_decisions(reader, n_episodes).verdicts()
    return [Verdict(source == "assume-success", "assumed")] * n_episodes


def path_verdicts(reader: DatasetReader, n_episodes: int, *, pattern: str | None) -> Verdicts:
    """Return what the key or path of every episode says.

    Raises:
        DatasetError: the data set does not know where its episodes came from.
    """
    keys = episode_keys(reader, n_episodes)
    if not any(keys):
        raise DatasetError(
            f"{reader.root} does not know the paths of its episodes (no attribute source_key). "
            "Use another source of outcomes."
        )
    if pattern is not None:
        matches = re.compile(pattern)
        return [Verdict(matches.search(key) is not None, "path") if key else None for key in keys]
    verdicts: list[Verdict | None] = []
    for key in keys:
        success, failure = SUCCESS_WORD.search(key), FAILURE_WORD.search(key)
        verdicts.append(Verdict(success is not None, "path") if (success is None) != (failure is None) else None)
    return verdicts


def reward_verdicts(reader: DatasetReader, n_episodes: int, *, threshold: float, where: str) -> Verdicts:
    """Return what the rewards of the source say.

    Raises:
        DatasetError: there are none, or they are the same everywhere.
    """
    column = reward_column(reader)
    refuse_constant(reader, column)
    values = episode_values(reader, column, n_episodes, where=where)
    return [Verdict(bool(value >= threshold), "reward") for value in values]
