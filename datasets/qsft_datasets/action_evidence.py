"""What the numbers say about an action: absolute, delta or velocity, and which numbers are grippers.

An absolute action is close to s_{t+1} (R^2 without any fit), or its change a_t - a_{t-1} goes with s_{t+1} - s_t
(correlation). A delta itself goes with s_{t+1} - s_t. A velocity does so too, and one unit of it is a change by 1/fps.

Levels are not compared: over a short episode any two things that grow correlate. Velocities in the state are left out:
they would make every velocity command look absolute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float64

from qsft_datasets.mapping import ActionMeaning

SAME_NUMBER = 0.8
"""R^2 from which a_t counts as s_{t+1}: a controller lags, so it is never 1."""
GOES_WITH = 0.5
"""Correlation from which a_t counts as going with a change of state: contact and noise take the rest."""
IS_VELOCITY = 0.9
"""Correlation of a state number with the change of another, from which it counts as that one's velocity."""
OPPOSED = -0.9
"""Correlation from which two fingers count as moving against each other."""
MAJORITY = 0.6
ONE_UNIT = (0.5, 2.0)
"""Change of state per unit of action that counts as one unit."""
AT_EXTREMES = 0.9
"""Share of the values that lie at the two extremes, from which a number counts as a gripper's."""


@dataclass(frozen=True)
class ActionEvidence:
    """What was found.

    Attributes:
        meaning: None where the numbers do not decide.
        reason: the figures, for people.
    """

    meaning: ActionMeaning | None
    reason: str


@dataclass(frozen=True)
class GripperEvidence:
    """A number of an action that only takes two extremes.

    Attributes:
        low, high: the extremes.
        opens_high: whether `high` opens; None where nothing in the state tells.
        reason: the figures, for people.
    """

    column: int
    low: float
    high: float
    opens_high: bool | None
    reason: str


Pairs = Sequence[tuple[np.ndarray, np.ndarray]]
"""(actions, states) of episodes, (step, number) each, steps with an action only."""


def action_meaning(
    pairs: Pairs, *, grippers: Sequence[int], fps: Fraction | None, state_names: Sequence[str] = ()
) -> ActionEvidence:
    """Return whether the numbers of an action are absolute, deltas or velocities.

    Args:
        grippers: columns that do not count.
        fps: control steps per second, where known.
        state_names: of the state's numbers; those called velocities do not count.
    """
    action, step, state, change = stacked(pairs)
    places = [column for column in range(state.shape[1]) if not is_velocity(column, state, change, state_names)]
    state, change = state[:, places], change[:, places]
    if len(action) < 3 or not places:
        return ActionEvidence(None, "too few steps, or no state to compare with")
    columns = [column for column in range(action.shape[1]) if column not in grippers]
    votes: list[str] = []
    slopes: list[float] = []
    changes, shifts = [], []
    for column in columns:
        values = action[:, column]
        if values.std() == 0:
            continue
        with_change = correlations(values, change)
        best = int(np.argmax(np.abs(with_change)))
        changes.append(float(abs(with_change[best])))
        shifts.append(float(np.abs(correlations(step[:, column], change)).max()))
        residual = ((values[:, None] - state) ** 2).mean(axis=0)
        if 1.0 - float(residual.min()) / float(values.var()) >= SAME_NUMBER:
            votes.append("absolute")
        elif changes[-1] >= GOES_WITH and changes[-1] > shifts[-1]:
            votes.append("difference")
            slopes.append(float(np.cov(values, change[:, best])[0, 1] / values.var(ddof=1)))
        elif shifts[-1] >= GOES_WITH:
            votes.append("absolute")
    if not changes:
        return ActionEvidence(None, "every number is constant")
    figures = (
        f"the change of the state correlates with the action {np.median(changes):.2f}, "
        f"with the action's own change {np.median(shifts):.2f} (medians)"
    )
    for vote in ("absolute", "difference"):
        if votes.count(vote) >= max(1, MAJORITY * len(votes), len(changes) / 3):
            meaning = "absolute" if vote == "absolute" else delta_or_velocity(slopes, fps)
            return ActionEvidence(meaning, f"{votes.count(vote)} of {len(changes)} numbers; {figures}")
    return ActionEvidence(None, f"absolute, delta or velocity? {figures}")


def is_velocity(column: int, state: np.ndarray, change: np.ndarray, names: Sequence[str]) -> bool:
    """Tell whether a number of the state is called a velocity, or is that of another one."""
    if column < len(names) and any(word in names[column].lower() for word in ("vel", "speed", "_dot")):
        return True
    others = np.delete(change, column, axis=1)
    return bool(others.shape[1]) and float(np.abs(correlations(state[:, column], others)).max()) >= IS_VELOCITY


def delta_or_velocity(slopes: Sequence[float], fps: Fraction | None) -> ActionMeaning:
    """Return "velocity" where one unit of action changes the state by 1/fps; a delta may have any unit."""
    typical = abs(float(np.median(slopes)))
    if fps is not None and not ONE_UNIT[0] <= typical <= ONE_UNIT[1]:
        return "velocity" if ONE_UNIT[0] <= typical * float(fps) <= ONE_UNIT[1] else "delta"
    return "delta"


def find_grippers(pairs: Pairs, names: Sequence[str], state_names: Sequence[str]) -> list[GripperEvidence]:
    """Return the numbers of an action that look like grippers: called so, or the last one and only at two extremes."""
    action, _, state, _ = stacked(pairs)
    if not len(action):
        return []
    fingers = finger_opening(state, state_names)
    found = []
    for column, name in enumerate(names):
        values = action[:, column]
        low, high = float(values.min()), float(values.max())
        if low == high:
            continue
        near = 0.05 * (high - low)
        at_low, at_high = float((values <= low + near).mean()), float((values >= high - near).mean())
        is_last = column == len(names) - 1
        if "grip" not in name.lower() and not (is_last and at_low + at_high >= AT_EXTREMES):
            continue
        opens_high = None
        if fingers is not None:
            correlation = float(correlations(values, fingers[:, None])[0])
            opens_high = correlation > 0 if abs(correlation) >= GOES_WITH else None
        firsts = [float(actions[0, column]) for actions, _ in pairs if len(actions)]
        begin_high = sum(first >= high - near for first in firsts)
        found.append(
            GripperEvidence(
                column,
                low,
                high,
                opens_high,
                f"near {low:g} in {at_low:.0%} of the steps, near {high:g} in {at_high:.0%}; "
                f"{begin_high} of {len(firsts)} episodes begin near {high:g}",
            )
        )
    return found


def finger_opening(state: np.ndarray, names: Sequence[str]) -> Float64[np.ndarray, " step"] | None:
    """Return how far two fingers stand apart; None where the state has no pair that moves against each other.

    A single number "gripper" does not tell: sets that store 0 for open are as common as the others.
    """
    columns = [c for c, name in enumerate(names) if any(word in name.lower() for word in ("grip", "finger"))]
    for place, first in enumerate(columns):
        for second in columns[place + 1 :]:
            one, other = state[:, first], state[:, second]
            if one.std() and other.std() and float(np.corrcoef(one, other)[0, 1]) < OPPOSED:
                return np.abs(one - other)
    return None


def stacked(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return actions, how they differ from the ones before, the states after them, and how these changed."""
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for action, state in pairs:
        if len(action) > 2 and np.isfinite(action).all() and np.isfinite(state).all():
            actions, states = action.astype(np.float64), state.astype(np.float64)
            parts.append((actions[1:-1], np.diff(actions[:-1], axis=0), states[2:], np.diff(states[1:], axis=0)))
    if not parts:
        width, other = (pairs[0][0].shape[1], pairs[0][1].shape[1]) if pairs else (0, 0)
        return np.zeros((0, width)), np.zeros((0, width)), np.zeros((0, other)), np.zeros((0, other))
    actions, shifts, states, changes = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return actions, shifts, states, changes


def correlations(values: np.ndarray, columns: np.ndarray) -> Float64[np.ndarray, " column"]:
    """Return the correlation of values with every column; 0 where one is constant, or where there are no values."""
    if not len(values):
        return np.zeros(columns.shape[1])
    centred, others = values - values.mean(), columns - columns.mean(axis=0)
    scale = np.sqrt((centred**2).sum() * (others**2).sum(axis=0))
    return np.divide(centred @ others, scale, out=np.zeros(columns.shape[1]), where=scale > 0)
