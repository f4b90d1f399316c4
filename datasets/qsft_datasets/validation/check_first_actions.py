"""First and last actions: all zero because the recorder had none yet, or because the format pads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.validation.finding import Result, at_episodes, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY

SHARE = 0.5
"""Share of the episodes from which on it is no coincidence."""


def check_first_actions(subject: Subject) -> Iterator[Result]:
    """Compare how often the first and the last action of an episode are zero with all others."""
    if not subject.has(ACTION_KEY):
        return
    layout = subject.layout
    is_zero = (subject.column(ACTION_KEY) == 0).all(axis=1)
    long_enough = layout.lengths > 2
    if not long_enough.any():
        return
    first, last = layout.starts[long_enough], (layout.starts + layout.lengths - 1)[long_enough]
    inside = np.ones(len(is_zero), bool)
    inside[layout.starts] = inside[layout.starts + layout.lengths - 1] = False
    usual = float(is_zero[inside].mean())
    numbers = layout.numbers[long_enough]
    for what, rows, frame, reason in (
        ("first", first, 0, "the recorder had none yet"),
        ("last", last, None, "RLDS pads the last step, for example"),
    ):
        share = float(is_zero[rows].mean())
        if share >= SHARE and usual < SHARE / 2:
            yield warning(
                f"The {what} action is zero in {share:.0%} of the episodes, others in {usual:.0%}: {reason}.",
                f"Leave the {what} step out when converting: imitating it teaches the robot to stand still.",
                **at_episodes(np.sort(numbers[is_zero[rows]]), frame),
            )
