"""Time: the time stamps of every episode advance by one period of the stated frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from qsft_datasets.validation.finding import Fact, Result, at_episodes, at_frames, error, warning
from qsft_datasets.validation.subject import Subject

GAPS = "gaps"
"""Attribute in which a conversion notes what was odd about the times of its source."""
TOLERANCE_S = 1e-4
"""How far LeRobot lets a time stamp be from its frame of a video."""
WRONG_RATE = 2e-4
"""Relative difference of the measured rate that counts: 29.97 for 30 is 1e-3, and adds up over an episode."""
SAME_STEP = 0.2
"""Steps within this part of the usual one are no gaps: the rate is measured on them."""
COMMON_RATES = (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001))


def check_time(subject: Subject) -> Iterator[Result]:
    """Compare time stamps with the frame rate."""
    yield Fact("frame rate", f"{float(subject.fps):g} per second ({subject.fps})")
    yield from check_exact_rate(subject)
    yield from odd_times_of_source(subject)
    if not subject.has("timestamp"):
        yield error("There is no column 'timestamp'.", "Convert the data set again.")
        return
    layout, stamps = subject.layout, subject.scalar("timestamp").astype(np.float64)
    period_s = float(1 / subject.fps)
    steps = np.diff(stamps)
    inside = np.ones(len(steps), bool)
    inside[layout.starts[1:] - 1] = False
    rows = np.flatnonzero(inside)
    if len(rows) == 0:
        return
    # Single precision resolves later stamps less finely.
    tolerance = np.maximum(TOLERANCE_S, 4 * np.finfo(np.float32).eps * np.abs(stamps[rows]))
    off = np.abs(steps[rows] - period_s) > tolerance
    late = late_starts(layout.starts, stamps, period_s)
    if len(late):
        yield warning(
            f"An episode begins at {stamps[layout.starts[late[0]]]:g} s instead of 0.",
            "Frames of videos are found by time: convert the data set again.",
            **at_episodes(layout.numbers[late], 0),
        )
    measured = measured_period_s(steps[rows])
    if measured > 0 and abs(measured - period_s) > WRONG_RATE * period_s:
        yield error(
            f"The time stamps advance by {measured:.6g} s, that is {1 / measured:.5g} frames per second; the data set "
            f"states {float(subject.fps):g}.",
            f"State the rate as {nearest_rate(1 / measured)}: convert the data set again with this fps.",
        )
        return
    if not off.any():
        return
    backwards, gaps = rows[steps[rows] <= 0], rows[steps[rows] > 1.5 * period_s]
    for level, found, what in (
        (error, backwards, "Time stamps do not advance"),
        (error, gaps, "Time stamps have gaps: frames are missing"),
    ):
        if len(found):
            yield level(
                f"{what}: {steps[found[0]]:g} s where {period_s:g} s are expected; {len(found)} such steps.",
                "Resample the source at a fixed rate, or leave these episodes out.",
                **at_frames(layout, found + 1),
            )
    jitter = rows[off & (steps[rows] > 0) & (steps[rows] <= 1.5 * period_s)]
    if len(jitter):
        yield warning(
            f"{len(jitter)} time stamps are not on the grid of {period_s:g} s: {steps[jitter[0]]:g} s between frames. "
            "LeRobot refuses to find a video frame so far from its time.",
            "Convert the data set again: time stamps of a fixed rate are frame number / fps.",
            **at_frames(layout, jitter + 1),
        )


def odd_times_of_source(subject: Subject) -> Iterator[Result]:
    """Report gaps and odd time stamps that a conversion met: those of the data set do not show them any more."""
    noted = subject.attribute(GAPS) or []
    odd = [episode for episode, words in enumerate(noted) if words]
    if odd:
        yield warning(
            f"The times of the source were odd before the conversion: {str(noted[odd[0]]).rstrip('.')}.",
            "Look at these episodes (attribute 'gaps'); leave them out where the robot was out of step.",
            **at_episodes(odd),
        )


def check_exact_rate(subject: Subject) -> Iterator[Result]:
    """Compare the rate of meta/info.json with the exact one beside the labels."""
    stated, exact = subject.info.get("fps"), subject.labels.get("fps")
    if exact is not None and stated is not None and abs(float(stated) - float(Fraction(str(exact)))) > 1e-6:
        yield error(
            f"meta/info.json states {stated} frames per second, meta/labels.json {exact}.",
            "Correct the one that is wrong; int(fps) is a common mistake.",
        )


def measured_period_s(steps: np.ndarray) -> float:
    """Return the mean time step without gaps: neighbouring steps share their stamps, so that rounding cancels out."""
    usual = float(np.median(steps))
    alike = steps[np.abs(steps - usual) <= SAME_STEP * abs(usual)]
    return float(np.mean(alike)) if len(alike) else usual


def late_starts(starts: np.ndarray, stamps: np.ndarray, period_s: float) -> np.ndarray:
    """Return which episodes do not begin at time 0."""
    return np.flatnonzero(np.abs(stamps[starts]) > period_s / 2)


def nearest_rate(rate: float) -> str:
    """Return a rate as people write it: a whole number, a television rate, or a simple fraction."""
    for exact in (*COMMON_RATES, Fraction(rate).limit_denominator(8)):
        if abs(float(exact) - rate) < 2e-4 * rate:
            return str(exact)
    return f"{rate:.4g}"
