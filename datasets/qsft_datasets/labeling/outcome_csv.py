"""Verdicts on the episodes of a data set from a user's CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qsft_datasets.labeling.outcome import Verdict, listed
from qsft_datasets.outcome_file import INDEX_COLUMN, OutcomeRow, read_outcome_file
from vlm_qsft.errors import DatasetError

SHOWN_KEYS = 3


def csv_verdicts(path: Path, n_episodes: int, keys: Mapping[str, int]) -> list[Verdict | None]:
    """Return what a CSV file says of every episode.

    Args:
        n_episodes: recorded episodes of the data set.
        keys: name of an episode at its source -> its number.
    Raises:
        DatasetError: the file is missing or no such table; a line names an unknown episode, one twice, or a word that
            is neither success nor failure. Names the line.
    """
    named_by, rows = read_outcome_file(path)
    verdicts: list[Verdict | None] = [None] * n_episodes
    for row in rows:
        episode = by_index(row, n_episodes) if named_by == "index" else by_key(row, keys)
        if verdicts[episode] is not None:
            raise DatasetError(f"{row.place} names episode {episode} again.")
        truncated = None if row.terminated is None else not row.terminated
        verdicts[episode] = Verdict(row.success, "csv", row.terminated, truncated)
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


def by_index(row: OutcomeRow, n_episodes: int) -> int:
    """Return the episode of a number. Raises as `csv_verdicts`."""
    if not (row.episode.isascii() and row.episode.isdecimal()) or int(row.episode) >= n_episodes:
        raise DatasetError(
            f"{row.place}: episode '{row.episode}' is not in this data set; episodes are 0 to {n_episodes - 1}."
        )
    return int(row.episode)


def by_key(row: OutcomeRow, keys: Mapping[str, int]) -> int:
    """Return the episode of a key. Raises as `csv_verdicts`."""
    if row.episode not in keys:
        more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
        known = f"known are {', '.join(list(keys)[:SHOWN_KEYS])}{more}"
        known = known if keys else f"its episodes have no keys; use a column {INDEX_COLUMN}"
        raise DatasetError(f"{row.place}: no episode has the key '{row.episode}'; {known}.")
    return keys[row.episode]
