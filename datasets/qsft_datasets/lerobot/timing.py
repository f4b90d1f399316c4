"""Time stamps of an episode, held against the stated rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from qsft_datasets.source import StepValues

STEP_TOLERANCE = 0.25
"""Of a period: a step that is longer or shorter than that is reported; jitter below it is ordinary."""
RATE_TOLERANCE = 0.01
"""A rate that is 1 % off is another rate."""


def timing_notes(timestamps: StepValues, fps: Fraction | None) -> tuple[str, ...]:
    """Return in words how the time stamps of an episode differ from the stated rate; nothing where they do not.

    Args:
        timestamps: seconds, one per step.
        fps: steps per second; None where the data set states none.
    """
    if fps is None or not isinstance(timestamps, np.ndarray) or timestamps.size == 0:
        return ()
    seconds = timestamps.astype(np.float64).reshape(len(timestamps), -1)[:, 0]
    if not np.isfinite(seconds).all():
        return (f"timestamp: {int((~np.isfinite(seconds)).sum())} of {len(seconds)} are no numbers.",)
    period_s = float(1 / fps)
    notes = []
    if abs(seconds[0]) > STEP_TOLERANCE * period_s:
        notes.append(f"timestamp: begins at {seconds[0]:.3f} s, not at 0; steps and pictures are matched by order.")
    steps_s = np.diff(seconds)
    if len(steps_s):
        odd = np.abs(steps_s - period_s) > STEP_TOLERANCE * period_s
        if odd.any():
            worst = int(np.argmax(np.abs(steps_s - period_s)))
            notes.append(
                f"timestamp: {int(odd.sum())} of {len(steps_s)} steps do not last 1/{fps} s; the worst, from step "
                f"{worst} to {worst + 1}, lasts {steps_s[worst]:.3f} s."
            )
        typical_s = float(np.median(steps_s))
        if typical_s > 0 and abs(typical_s / period_s - 1) > RATE_TOLERANCE:
            notes.append(f"timestamp: advances at {1 / typical_s:.3f} steps per second; meta/info.json says {fps}.")
    return tuple(notes)
