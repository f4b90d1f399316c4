"""What a data set says of its own outcomes: as it stands, and as it was recorded before anyone labelled it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qsft_datasets.labeling.outcome import Verdict
from vlm_qsft.data.episode_table import COUNTERFACTUAL_OF, OUTCOME_SOURCE
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.errors import DatasetError, UnknownName

SUCCESS_COLUMNS = ("source.success", "next.success", "success", "is_success", "episode_success")
"""Columns that hold success per frame, in data sets that are not ours."""
RECORDED = {"success": "recorded_success", "terminated": "recorded_terminated", "truncated": "recorded_truncated"}
"""Attributes that keep what was recorded, whatever labels come later."""
RECORDED_SOURCE = "recorded_source"
KEY_ATTRIBUTES = ("source_key", "key", "source_path", "path", "source_file", "file")
"""Attributes by which people and paths know an episode."""


def n_recorded_episodes(reader: DatasetReader) -> int:
    """Return how many episodes were recorded: without counterfactual copies, which stand at the end.

    Raises:
        DatasetError: a copy stands between recorded episodes.
    """
    copied = reader.episodes.attributes.get(COUNTERFACTUAL_OF, (None,) * reader.n_episodes)
    recorded = [index for index, of in enumerate(copied) if of is None]
    if recorded != list(range(len(recorded))):
        raise DatasetError(
            f"{reader.root} has counterfactual copies between its episodes; something has reordered them. "
            "Remove the episodes that have attribute 'counterfactual_of', then label the rest."
        )
    return len(recorded)


def stored_verdicts(reader: DatasetReader, n_episodes: int) -> list[Verdict | None]:
    """Return the outcomes that the episode table holds now, with the source of each."""
    table = reader.episodes
    if table.success is None:
        return [None] * n_episodes
    sources = table.attributes.get(OUTCOME_SOURCE, (None,) * len(table))
    return [
        verdict(table.success[e], _at(table.terminated, e), _at(table.truncated, e), sources[e])
        for e in range(n_episodes)
    ]


def recorded_verdicts(reader: DatasetReader, n_episodes: int) -> list[Verdict | None]:
    """Return the outcomes as recorded: those kept when the data set was first labelled, else those it has.

    Raises:
        DatasetError: a damaged file.
    """
    attributes = reader.episodes.attributes
    if RECORDED["success"] in attributes:
        flags = {name: attributes.get(key, (None,) * len(reader.episodes)) for name, key in RECORDED.items()}
        sources = attributes.get(RECORDED_SOURCE, (None,) * len(reader.episodes))
        return [
            verdict(flags["success"][e], flags["terminated"][e], flags["truncated"][e], sources[e])
            for e in range(n_episodes)
        ]
    if reader.episodes.success is not None:
        return stored_verdicts(reader, n_episodes)
    column = next((name for name in SUCCESS_COLUMNS if reader.metadata.widths.get(name) == 1), None)
    if column is None or is_constant(reader.column(column)):
        return [None] * n_episodes
    ends = end_flags(reader, n_episodes)
    success = episode_values(reader, column, n_episodes, where="last") >= 0.5
    return [Verdict(bool(success[e]), "flag", *ends[e]) for e in range(n_episodes)]


def flagged_verdicts(
    reader: DatasetReader, n_episodes: int, *, column: str, threshold: float, where: str
) -> list[Verdict | None]:
    """Return the outcomes that a column of the frames gives.

    Raises:
        UnknownName: no such column of one number per frame.
        DatasetError: it has the same value everywhere.
    """
    scalars = [name for name, width in reader.metadata.widths.items() if width == 1]
    if column not in scalars:
        raise UnknownName("column", column, scalars, where="this data set")
    refuse_constant(reader, column)
    ends = end_flags(reader, n_episodes)
    success = episode_values(reader, column, n_episodes, where=where) >= threshold
    return [Verdict(bool(success[e]), "flag", *ends[e]) for e in range(n_episodes)]


def end_flags(reader: DatasetReader, n_episodes: int) -> list[tuple[bool | None, bool | None]]:
    """Return how foreign columns say that every episode ended: only where exactly one of both flags stands there."""
    if reader.episodes.success is not None or any(
        reader.metadata.widths.get(f"next.{name}") != 1 for name in ("terminated", "truncated")
    ):
        return [(None, None)] * n_episodes
    flags = [
        episode_values(reader, f"next.{name}", n_episodes, where="last") >= 0.5 for name in ("terminated", "truncated")
    ]
    return [(bool(t), bool(c)) if t != c else (None, None) for t, c in zip(*flags, strict=True)]


def episode_values(reader: DatasetReader, column: str, n_episodes: int, *, where: str) -> np.ndarray:
    """Return one number per episode of a column: of the last frame, or the largest of all frames."""
    values = np.asarray(reader.column(column), dtype=np.float64)
    starts, lengths = reader.episodes.first_frame[:n_episodes], reader.episodes.length[:n_episodes]
    if where == "last":
        return values[starts + lengths - 1]
    return np.maximum.reduceat(values[: starts[-1] + lengths[-1]], starts)


def refuse_constant(reader: DatasetReader, column: str) -> None:
    """Refuse a column that has one value in every frame of every episode.

    Raises:
        DatasetError: it says nothing of success.
    """
    if is_constant(reader.column(column)):
        raise DatasetError(
            f"'{column}' is {reader.column(column)[0]} in every frame of every episode of {reader.root}: it says "
            "nothing about success. Use another source of outcomes (--outcome csv FILE, review, assume-failure, ...)."
        )


def is_constant(values: np.ndarray) -> bool:
    """Tell whether all values are equal."""
    return bool((values == values[0]).all())


def episode_keys(reader: DatasetReader, n_episodes: int) -> list[str]:
    """Return the name of every episode at its source, for people and patterns; "" where none is known."""
    known = [reader.episodes.attributes[name] for name in KEY_ATTRIBUTES if name in reader.episodes.attributes]
    return [" ".join(str(column[e]) for column in known if column[e] is not None) for e in range(n_episodes)]


def unique_keys(reader: DatasetReader, n_episodes: int) -> dict[str, int]:
    """Return key -> episode by the first attribute whose values are different everywhere; empty where there is none."""
    for name in KEY_ATTRIBUTES:
        values: Sequence[object] = reader.episodes.attributes.get(name, ())[:n_episodes]
        if values and len(set(values)) == n_episodes:
            return {str(value): episode for episode, value in enumerate(values)}
    return {}


def refuse_unlabelled(root: Path) -> DatasetError:
    """Return the error of a data set that has no outcomes and was not told where to find them."""
    return DatasetError(
        f"{root} records no outcome. Say where success is known: --outcome flag --flag COLUMN, path, reward, csv FILE, "
        "review, assume-success or assume-failure."
    )


def verdict(success: object, terminated: object, truncated: object, source: object) -> Verdict | None:
    """Return a verdict from entries of the episode table, any of which may be empty."""
    if success is None:
        return None
    flags = [None if flag is None else bool(flag) for flag in (terminated, truncated)]
    return Verdict(bool(success), str(source) if source is not None else "flag", *flags)


def _at(column: np.ndarray | None, episode: int) -> object:
    return None if column is None else column[episode]
