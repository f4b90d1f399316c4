"""A user's CSV file of outcomes: which episode, success, and where it is known terminated."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vlm_qsft.errors import DatasetError

SUCCESS_WORDS = ("1", "1.0", "true", "t", "yes", "y", "success", "successful")
FAILURE_WORDS = ("0", "0.0", "false", "f", "no", "n", "failure", "fail", "failed")
WORDS = {**dict.fromkeys(SUCCESS_WORDS, True), **dict.fromkeys(FAILURE_WORDS, False)}
INDEX_COLUMN = "episode_index"
KEY_COLUMNS = ("key", "source_key", "episode")
NamedBy = Literal["index", "key"]


@dataclass(frozen=True)
class OutcomeRow:
    """One line.

    Attributes:
        place: file and line, for errors.
        episode: its key at the source, or its number, as it stands there.
        success: the task was accomplished.
        terminated: the episode ended because the task did; None where the file does not say.
    """

    place: str
    episode: str
    success: bool
    terminated: bool | None = None


def read_outcome_file(path: Path) -> tuple[NamedBy, list[OutcomeRow]]:
    """Return by what the file names its episodes, and its lines.

    Raises:
        DatasetError: no such file, other columns, a word that is neither success nor failure, or an episode for the
            second time; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as a CSV file: {error}.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    rows: list[OutcomeRow] = []
    lines: dict[str, int] = {}
    try:
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        named = next((name for name in (INDEX_COLUMN, *KEY_COLUMNS) if name in columns), None)
        if named is None or "success" not in columns:
            raise DatasetError(
                f"{path} has columns {', '.join(columns) or 'none'}; expected {INDEX_COLUMN} or key, success, and "
                "where it is known terminated."
            )
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            episode = (row[named] or "").strip()
            if episode in lines:
                raise DatasetError(f"{place} names episode '{episode}' again; line {lines[episode]} did already.")
            lines[episode] = reader.line_num
            ending = (row.get("terminated") or "").strip()
            terminated = _flag(ending, "terminated", place) if ending else None
            rows.append(OutcomeRow(place, episode, _flag(row["success"], "success", place), terminated))
    except csv.Error as error:
        raise DatasetError(f"{path} cannot be read as a CSV file: {error}.") from error
    return "index" if named == INDEX_COLUMN else "key", rows


def _flag(word: str | None, column: str, place: str) -> bool:
    flag = WORDS.get((word or "").strip().lower())
    if flag is None:
        raise DatasetError(f"{place}: {column} is '{word or ''}'; expected 1 or 0, true or false, yes or no.")
    return flag
