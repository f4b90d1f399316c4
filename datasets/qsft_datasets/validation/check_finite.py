"""Finite: NaN and infinity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.validation.finding import Result, at_frames, error
from qsft_datasets.validation.subject import Subject


def check_finite(subject: Subject) -> Iterator[Result]:
    """Look for NaN and infinity in every column of numbers."""
    for key in subject.widths:
        if not subject.has(key):
            continue
        values = subject.column(key)
        if not np.issubdtype(values.dtype, np.floating) or np.isfinite(values).all():
            continue
        bad = ~np.isfinite(values)
        row, dimension = (int(number) for number in np.argwhere(bad)[0])
        rows = np.flatnonzero(bad.any(axis=1))
        yield error(
            f"'{subject.dimension(key, dimension)}' is {values[row, dimension]}; {int(bad.sum())} such numbers in "
            f"{len(subject.layout.episodes_of(rows))} episodes.",
            "Repair these episodes or leave them out.",
            **at_frames(subject.layout, rows),
        )
