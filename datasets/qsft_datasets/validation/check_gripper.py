"""Gripper: sign and range of its action, against the gripper of the state and between episodes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.validation.finding import Fact, Result, at_episodes, error, warning
from qsft_datasets.validation.gripper_dimensions import gripper_dimensions
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY, STATE_KEY

CLEAR = 0.3
"""Correlation from which on an episode says how the gripper of the action moves that of the state."""
DECLARED_ROOM = 0.1
"""Part of the declared range by which commands may leave it: recorded commands overshoot."""
LAG_S = 0.5
"""A gripper follows its command within this time; the best lag counts."""


def check_gripper(subject: Subject) -> Iterator[Result]:
    """Look at every gripper dimension of the action."""
    if not subject.has(ACTION_KEY):
        return
    action = subject.column(ACTION_KEY)
    of_state = gripper_dimensions(subject, STATE_KEY) if subject.has(STATE_KEY) else []
    grippers = gripper_dimensions(subject)
    for order, place in enumerate(grippers):
        name, values = subject.names(ACTION_KEY)[place], action[:, place].astype(np.float64)
        yield Fact(f"gripper '{name}'", range_in_words(subject, values))
        declared = declared_gripper(subject, name)
        yield from mixed_ranges(subject, name, values)
        if declared is not None:
            yield from beyond_declared(name, values, *declared)
        # Two fingers and one command, or one gripper each: the one at the same place belongs to it.
        if of_state:
            matching = of_state[min(order, len(of_state) - 1)]
            finger = subject.column(STATE_KEY)[:, matching].astype(np.float64)
            yield from signs(subject, name, values, finger, declared=declared)


def declared_gripper(subject: Subject, name: str) -> tuple[float, float] | None:
    """Return the values of the action that open and close a gripper, if the mapping says so."""
    mapping = subject.mapping
    gripper = next((gripper for gripper in mapping.gripper if gripper.name == name), None) if mapping else None
    part = next((part for part in mapping.action if name in part.names), None) if mapping else None
    if gripper is None or part is None:
        return None
    return gripper.open * part.scale + part.offset, gripper.closed * part.scale + part.offset


def beyond_declared(name: str, values: np.ndarray, opened: float, closed: float) -> Iterator[Result]:
    """Report commands outside the range that the mapping declares."""
    room = DECLARED_ROOM * abs(opened - closed)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < min(opened, closed) - room or high > max(opened, closed) + room:
        yield warning(
            f"Gripper '{name}' is declared open at {opened:g} and closed at {closed:g}; "
            f"its commands go from {low:g} to {high:g}.",
            "Correct the two values in the mapping: the wrong end may be called open.",
        )


def range_in_words(subject: Subject, values: np.ndarray) -> str:
    """Return the range, how much of it is at the ends, and where episodes begin."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    near = 0.05 * (high - low)
    ends = float(np.mean((values <= low + near) | (values >= high - near)))
    first = values[subject.layout.starts]
    at_high = float(np.mean(first >= (low + high) / 2))
    return (
        f"from {low:g} to {high:g}, {ends:.0%} at the ends; {at_high:.0%} of the episodes begin in the upper half "
        "(most robots begin open)"
    )


def mixed_ranges(subject: Subject, name: str, values: np.ndarray) -> Iterator[Result]:
    """Report episodes that use 0 to 1 beside others that use -1 to 1."""
    layout = subject.layout
    low = np.minimum.reduceat(values, layout.starts)
    high = np.maximum.reduceat(values, layout.starts)
    moving = high - low > 1e-6
    signed, unsigned = moving & (low < -0.5) & (high <= 1.5), moving & (low >= -0.05) & (high <= 1.05) & (high > 0.5)
    if signed.any() and unsigned.any() and min(signed.sum(), unsigned.sum()) >= max(1, 0.02 * moving.sum()):
        fewer = signed if signed.sum() <= unsigned.sum() else unsigned
        yield warning(
            f"Gripper '{name}' goes from -1 to 1 in {int(signed.sum())} episodes and from 0 to 1 in "
            f"{int(unsigned.sum())}: two conventions in one data set.",
            "Scale the one kind to the other in the mapping, or convert them apart.",
            **at_episodes(np.sort(layout.numbers[fewer])),
        )


def signs(
    subject: Subject, name: str, command: np.ndarray, state: np.ndarray, *, declared: tuple[float, float] | None
) -> Iterator[Result]:
    """Report grippers whose command and state go opposite ways, in some episodes or in all."""
    layout = subject.layout
    lags = range(1, max(2, round(LAG_S * float(subject.fps)) + 1))
    found = []
    for start, length in zip(layout.starts, layout.lengths, strict=True):
        given, seen = command[start : start + length], state[start : start + length]
        best = 0.0
        for lag in lags:
            if length - lag >= 4 and np.std(given[:-lag]) > 1e-9 and np.std(seen[lag:]) > 1e-9:
                value = float(np.corrcoef(given[:-lag], seen[lag:])[0, 1])
                best = value if abs(value) > abs(best) else best
        found.append(best)
    correlation = np.array(found)
    same, opposite = correlation > CLEAR, correlation < -CLEAR
    if same.sum() and opposite.sum() and min(same.sum(), opposite.sum()) >= max(2, 0.1 * (same | opposite).sum()):
        fewer = opposite if opposite.sum() <= same.sum() else same
        yield error(
            f"Gripper '{name}' closes with a larger command in {int(same.sum())} episodes and with a smaller one in "
            f"{int(opposite.sum())} (sign of its correlation with the gripper of the state).",
            "Turn the sign in the mapping of the one kind: a policy cannot learn both.",
            **at_episodes(np.sort(layout.numbers[fewer])),
        )
    elif declared is not None and same.sum() != opposite.sum():
        yield from against_declared(name, same.sum() > opposite.sum(), *declared)
    elif opposite.sum() > same.sum():
        yield warning(
            f"Gripper '{name}' of the action and the gripper of the state go opposite ways "
            f"(median correlation {np.median(correlation[opposite]):.2f}): 1 is open in one and closed in the other.",
            "Write down in the mapping which value of the action is open; nothing is wrong if it is right there.",
        )


def against_declared(name: str, goes_with_state: bool, opened: float, closed: float) -> Iterator[Result]:
    """Report a declared sign that contradicts the gripper of the state, if that is an opening: nearly all are."""
    if goes_with_state != (opened > closed):
        yield warning(
            f"Gripper '{name}' is declared open at {opened:g} and closed at {closed:g}; the gripper of the state "
            f"{'rises' if goes_with_state else 'falls'} with the command.",
            "If the gripper of the state is how far it is open, the mapping has the two values the wrong way round.",
        )
