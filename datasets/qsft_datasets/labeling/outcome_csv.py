"""Outcomes from a user's CSV file: episode_index or key, success, and optionally terminated."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from qsft_datasets.labeling.outcome import Verdict, listed
from vlm_qsft.errors import DatasetError

WORDS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y", "success", "successful"), True),
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n", "failure", "fail", "failed"), False),
}


def read_outcome_csv(path: Path, n_episodes: int, keys: Mapping[str, int]) -> list[Verdict | None]:
    """Return what a CSV file says of every episode.

    Args:
        n_episodes: recorded episodes of the data set.
        keys: name of an episode at its source -> its number.
    Raises:
        DatasetError: the file is missing or no such table; a line names an unknown episode, one twice, or a word that
            is neither success nor failure. Names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as a CSV file: {error}.") from error
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    named_by = next((name for name in ("episode_index", "key") if name in columns), None)
    if named_by is None or "success" not in columns:
        raise DatasetError(
            f"{path} has columns {', '.join(columns) or 'none'}; expected episode_index or key, success, and where "
            "it is known terminated."
        )
    verdicts: list[Verdict | None] = [None] * n_episodes
    lines: dict[int, int] = {}
    for row in reader:
        place = f"{path}, line {reader.line_num}"
        episode = _episode(row[named_by], named_by, n_episodes, keys, place=place)
        if episode in lines:
            raise DatasetError(f"{place} names episode {episode} again; line {lines[episode]} did already.")
        lines[episode] = reader.line_num
        ending = (row.get("terminated") or "").strip()
        terminated = _flag(ending, "terminated", place) if ending else None
        success = _flag(row["success"], "success", place)
        verdicts[episode] = Verdict(success, "csv", terminated, None if terminated is None else not terminated)
    return verdicts


def refuse_missing(path: Path, verdicts: list[Verdict | None]) -> None:
    """Refuse a file that leaves episodes out.

    Raises:
        DatasetError: lists them by number.
    """
    missing = [episode for episode, known in enumerate(verdicts) if known is None]
    if missing:
        raise DatasetError(
            f"{path} says nothing about {listed(missing)} ({len(missing)} of {len(verdicts)}). Add a line for each, or "
            "name another source beside it (--outcome assume-failure, for example)."
        )


def _episode(word: str | None, named_by: str, n_episodes: int, keys: Mapping[str, int], *, place: str) -> int:
    word = (word or "").strip()
    if named_by == "key":
        if word not in keys:
            known = "its episodes have no keys; use episode_index" if not keys else f"known are {_some(keys)}"
            raise DatasetError(f"{place}: no episode has the key '{word}'; {known}.")
        return keys[word]
    if not word.isdecimal() or int(word) >= n_episodes:
        raise DatasetError(f"{place}: episode '{word}' is not in this data set; episodes are 0 to {n_episodes - 1}.")
    return int(word)


def _some(keys: Mapping[str, int]) -> str:
    names = list(keys)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _flag(word: str | None, column: str, place: str) -> bool:
    flag = WORDS.get((word or "").strip().lower())
    if flag is None:
        raise DatasetError(f"{place}: {column} is '{word or ''}'; expected 1 or 0, true or false, yes or no.")
    return flag
