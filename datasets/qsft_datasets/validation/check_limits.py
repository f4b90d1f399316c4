"""Limits: values of state and action far outside the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.validation.finding import Result, at_frames, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY, STATE_KEY

OUTLIER_RANGES = 10.0
"""A value this many ranges (of the middle 98 %) outside the range is no measurement: real tails reach one or two."""
SAMPLED_ROWS = 200_000
"""Rows that the range is measured on: more change it by nothing that matters here."""


def check_limits(subject: Subject) -> Iterator[Result]:
    """Look for single values of state and action far outside the range of all others."""
    for key in (STATE_KEY, ACTION_KEY):
        if not subject.has(key):
            continue
        values = subject.column(key)
        sampled = values[:: max(1, len(values) // SAMPLED_ROWS)].astype(np.float64)
        low, high = np.nanquantile(sampled, [0.01, 0.99], axis=0)
        room = OUTLIER_RANGES * (high - low)
        outside = (values < low - room) | (values > high + room)
        outside[:, high <= low] = False  # two or fewer values: nothing to compare with
        for place in np.flatnonzero(outside.any(axis=0)):
            rows = np.flatnonzero(outside[:, place])
            yield warning(
                f"'{subject.dimension(key, int(place))}' is {values[rows[0], place]:g}; 98 % of its values lie from "
                f"{low[place]:g} to {high[place]:g}. {len(rows)} such values.",
                "Look at these frames: a broken sensor, another unit, a wrapped angle? Leave the episodes out if so.",
                **at_frames(subject.layout, rows),
            )
