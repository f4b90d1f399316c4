"""Statistics: meta/stats.json agrees with the data it describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from qsft_datasets.validation.finding import Result, error, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.quantiles import LEROBOT_QUANTILES, exact_quantiles

REMEDY = "Convert the data set again; normalisation and the range of action tokens come from these numbers."
TOLERANCE = 1e-3
"""Of the range of a dimension: LeRobot adds statistics up in single precision."""
QUANTILE_TOLERANCE = 0.02
PICTURE_TOLERANCE = 0.1
"""Difference of mean brightness: both sides sample."""


def check_statistics(subject: Subject) -> Iterator[Result]:
    """Compare stored statistics with those of the data."""
    if not subject.stats:
        yield error("meta/stats.json is missing or empty: LeRobot normalises with it.", REMEDY)
        return
    missing = [
        key
        for key, feature in subject.features.items()
        if key not in subject.stats and feature["dtype"] not in ("string", "language")
    ]
    if missing:
        yield error(f"meta/stats.json has no statistics of {', '.join(missing)}.", REMEDY, count=len(missing))
    for key in subject.widths:
        if key in subject.stats and subject.has(key):
            yield from of_column(subject, key, subject.stats[key])
    yield from of_pictures(subject)


def of_column(subject: Subject, key: str, stored: Mapping[str, Any]) -> Iterator[Result]:
    """Compare the statistics of one column of numbers."""
    values = subject.column(key).astype(np.float64)
    if not np.isfinite(values).all():
        return
    count = np.ravel(stored.get("count", []))
    if len(count) and int(count[0]) != len(values):
        yield error(f"meta/stats.json counts {int(count[0])} frames of '{key}'; there are {len(values)}.", REMEDY)
    low, high = values.min(axis=0), values.max(axis=0)
    room = np.maximum(high - low, 1e-6 + 1e-6 * np.abs(high))
    exact = {"min": low, "max": high, "mean": values.mean(axis=0), "std": values.std(axis=0)}
    for name, truth in exact.items():
        given = np.ravel(np.asarray(stored.get(name, []), dtype=np.float64))
        if given.shape != truth.shape:
            yield error(
                f"meta/stats.json has {len(given)} numbers for '{name}' of '{key}'; {len(truth)} needed.", REMEDY
            )
            continue
        off = np.flatnonzero(~(np.abs(given - truth) <= TOLERANCE * room))
        if len(off):
            place = int(off[0])
            yield error(
                f"meta/stats.json says {name} {given[place]:.6g} of '{subject.dimension(key, place)}'; the data say "
                f"{truth[place]:.6g}. {len(off)} such dimensions.",
                REMEDY,
                count=len(off),
            )
    yield from of_quantiles(subject, key, stored, values=values, room=room)


def of_quantiles(
    subject: Subject, key: str, stored: Mapping[str, Any], *, values: np.ndarray, room: np.ndarray
) -> Iterator[Result]:
    """Compare the quantiles: LeRobot averages those of episodes, which is far off for rare values."""
    names = [name for name in LEROBOT_QUANTILES if name in stored]
    if not names:
        return
    truth = exact_quantiles(values, tuple(LEROBOT_QUANTILES[name] for name in names))
    worst, where = 0.0, ("", 0, 0.0, 0.0)
    for row, name in enumerate(names):
        given = np.ravel(np.asarray(stored[name], dtype=np.float64))
        if given.shape != truth[row].shape:
            yield error(f"meta/stats.json has {len(given)} numbers for '{name}' of '{key}'.", REMEDY)
            return
        off = np.abs(given - truth[row]) / room
        place = int(np.argmax(off))
        if off[place] > worst:
            worst, where = float(off[place]), (name, place, float(given[place]), float(truth[row][place]))
    if worst > QUANTILE_TOLERANCE:
        name, place, given_value, exact_value = where
        yield warning(
            f"meta/stats.json says {name} {given_value:.6g} of '{subject.dimension(key, place)}'; it is "
            f"{exact_value:.6g}. LeRobot averages quantiles of episodes instead of computing them.",
            "Nothing here reads them; convert the data set again to correct them for other tools.",
        )


def of_pictures(subject: Subject) -> Iterator[Result]:
    """Compare the mean brightness of sampled pictures."""
    for sample in subject.samples:
        stored = subject.stats.get(sample.key)
        pictures = [picture for episode in sample.episodes for picture in episode.pictures]
        if not isinstance(stored, Mapping) or not pictures:
            continue
        given = np.asarray(stored.get("mean", []), dtype=np.float64)
        if given.shape != (3, 1, 1):
            yield error(
                f"meta/stats.json has a mean of shape {given.shape} for '{sample.key}'; expected (3, 1, 1).", REMEDY
            )
            continue
        given = given.ravel()
        seen = np.mean([picture.reshape(-1, 3).mean(axis=0) / 255.0 for picture in pictures], axis=0)
        if np.abs(given - seen).max() > PICTURE_TOLERANCE:
            yield warning(
                f"meta/stats.json says a mean of {given.round(2).tolist()} for '{sample.key}'; sampled pictures have "
                f"{seen.round(2).tolist()}.",
                "Convert the data set again, or compute its statistics again.",
            )
