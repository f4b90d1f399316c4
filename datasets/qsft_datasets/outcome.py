"""Was an episode a success, and who says so: a flag, a path, the rewards, a table of the user's, or an assumption."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping as MappingType
from pathlib import Path

import numpy as np

from qsft_datasets.mapping import Mapping, OutcomeMapping
from qsft_datasets.source import EpisodeReference, SourceEpisode
from qsft_datasets.vectors import step_numbers
from vlm_qsft.errors import DatasetError, InvalidSetting

LABEL_SOURCES = {"assume-success": "assumed", "assume-failure": "assumed"}
"""What is written beside a label that nobody has observed."""
EPISODE_COLUMNS, SUCCESS_COLUMNS = ("episode", "key", "source_key"), ("success", "outcome")
SUCCESS_WORDS = {"1": True, "true": True, "yes": True, "success": True}
FAILURE_WORDS = {"0": False, "false": False, "no": False, "failure": False}
OutcomeTable = MappingType[str, bool]


def label_source(outcome: OutcomeMapping) -> str:
    """Return what is stored beside every label: who decided on success.

    Raises:
        InvalidSetting: nobody has.
    """
    if outcome.source == "unknown":
        raise InvalidSetting(
            "How success is known is not decided (outcome: unknown in the mapping). Choose in the mapping or with "
            "--outcome: flag, path, reward, csv FILE, assume-success, assume-failure."
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
        return table[episode.key]
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


def read_outcome_table(path: Path) -> dict[str, bool]:
    """Read a CSV file with a column episode (the key that `qsft inspect` shows) and a column success.

    Raises:
        InvalidSetting: missing, other columns, a word that is no outcome, or an episode twice; names the line.
    """
    table: dict[str, bool] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            key = next((name for name in EPISODE_COLUMNS if name in header), None)
            success = next((name for name in SUCCESS_COLUMNS if name in header), None)
            if key is None or success is None:
                raise InvalidSetting(
                    f"{path} has columns {', '.join(header) or 'none'}; expected {EPISODE_COLUMNS[0]} and "
                    f"{SUCCESS_COLUMNS[0]} (true or false)."
                )
            for row in reader:
                name, word = (row[key] or "").strip(), (row[success] or "").strip().lower()
                if word not in SUCCESS_WORDS | FAILURE_WORDS:
                    raise InvalidSetting(
                        f"{path}, line {reader.line_num}: '{word}' is no outcome; expected true or false."
                    )
                if name in table:
                    raise InvalidSetting(f"{path}, line {reader.line_num}: episode '{name}' for the second time.")
                table[name] = word in SUCCESS_WORDS
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidSetting(f"{path} cannot be read as a table: {error}.") from error
    return table


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
