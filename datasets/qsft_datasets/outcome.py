"""Was an episode a success, and who says so: a flag, a path, the rewards, a table of the user's, or an assumption."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from pathlib import Path

import numpy as np

from qsft_datasets.mapping import Mapping, OutcomeMapping
from qsft_datasets.outcome_file import INDEX_COLUMN, OutcomeRow, read_outcome_file
from qsft_datasets.source import EpisodeReference, SourceEpisode
from qsft_datasets.vectors import step_numbers
from vlm_qsft.errors import DatasetError, InvalidSetting

LABEL_SOURCES = {"assume-success": "assumed", "assume-failure": "assumed"}
"""What is written beside a label that nobody has observed."""
OutcomeTable = MappingType[str, OutcomeRow]
"""Key of an episode -> its line."""


def label_source(outcome: OutcomeMapping) -> str:
    """Return what is stored beside every label: who decided on success.

    Raises:
        InvalidSetting: nobody has.
    """
    if outcome.source == "unknown":
        raise InvalidSetting(
            "How success is known is not decided (outcome: unknown in the mapping). Choose in the mapping or with "
            "--outcome: flag, path, reward, csv FILE, assume-success, assume-failure. Where nothing says it: take "
            "assume-failure, then decide by looking, with `qsft label DST --outcome review`."
        )
    return LABEL_SOURCES.get(outcome.source, outcome.source)


def is_success(
    mapping: Mapping, episode: SourceEpisode, reference: EpisodeReference, table: OutcomeTable | None
) -> bool:
    """Return whether the episode reached its goal, by the mapping's rule.

    Args:
        table: of the user, for "csv".
    Raises:
        DatasetError: the feature or the row of this episode is missing, or is no number.
        InvalidSetting: nobody has decided on a rule.
    """
    outcome = mapping.outcome
    label_source(outcome)
    if outcome.source in ("assume-success", "assume-failure"):
        return outcome.source == "assume-success"
    if outcome.source == "csv":
        if table is None or episode.key not in table:
            raise DatasetError(f"The table of outcomes ({outcome.path}) has no row for episode '{episode.key}'.")
        return table[episode.key].success
    if outcome.source == "path":
        text = reference.file if outcome.path is None else _episode_text(episode, outcome.path)
        return re.search(outcome.pattern or "", text) is not None
    path = outcome.path or ""
    value = episode.episode.get(path)
    if isinstance(value, (str, bytes)):
        return re.search(outcome.pattern or "", _episode_text(episode, path)) is not None
    if outcome.where == "episode":
        numbers = np.asarray([value], np.float64).reshape(-1) if value is not None else np.zeros(0)
        if numbers.size != 1:
            raise DatasetError(f"Feature '{path}', which decides on success, is not in this episode.")
    else:
        numbers = step_numbers(episode, path, 1)[:, 0].astype(np.float64)
        if outcome.source == "reward" and mapping.last_step == "padding":
            numbers = numbers[:-1]
        numbers = numbers[-1:] if outcome.where == "last" else numbers
    if numbers.size == 0 or np.isnan(numbers).any():
        raise DatasetError(f"Feature '{path}', which decides on success, is empty or NaN.")
    return bool((numbers >= outcome.threshold).any())


def read_outcome_table(path: Path) -> dict[str, OutcomeRow]:
    """Read a CSV file that names episodes by their keys, which `qsft inspect` shows.

    Raises:
        DatasetError: see `read_outcome_file`; or it names them by numbers, which a source does not have.
    """
    named_by, rows = read_outcome_file(path)
    if named_by == "index":
        raise DatasetError(
            f"{path} names episodes by {INDEX_COLUMN}; episodes of a source have keys, which `qsft inspect` shows. "
            "Name them in a column 'key'; or convert with --outcome assume-failure, then label by this file."
        )
    return {row.episode: row for row in rows}


def _episode_text(episode: SourceEpisode, path: str) -> str:
    value = episode.episode.get(path)
    if value is None:
        steps = episode.steps.get(path)
        value = steps[0] if isinstance(steps, (list, tuple)) and steps else None
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        raise DatasetError(f"Feature '{path}', which decides on success, is not in this episode, or is no text.")
    return value
