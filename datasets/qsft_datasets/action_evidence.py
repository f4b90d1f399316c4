"""What the numbers say about an action: absolute, delta or velocity, and which numbers are grippers.

absolute   a_t is close to s_{t+1}                      (R^2 of a_t = s_{t+1} without any fit)
delta      a_t goes with s_{t+1} - s_t                  (correlation); one unit of it is one unit of state
velocity   the same, one unit of it is 1/fps of state
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
STANDS_WITH = 0.9
"""Correlation with the state itself from which a_t counts as a scaled absolute target."""
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


def action_meaning(pairs: Pairs, *, grippers: Sequence[int], fps: Fraction | None) -> ActionEvidence:
    """Return whether the numbers of an action are absolute, deltas or velocities.

    Args:
        grippers: columns that do not count.
        fps: control steps per second, where known.
    """
    action, state, change = stacked(pairs)
    if len(action) < 3 or state.shape[1] == 0:
        return ActionEvidence(None, "too few steps, or no state to compare with")
    columns = [column for column in range(action.shape[1]) if column not in grippers]
    votes: list[str] = []
    slopes: list[float] = []
    changes, levels = [], []
    for column in columns:
        values = action[:, column]
        if values.std() == 0:
            continue
        with_change, with_level = correlations(values, change), correlations(values, state)
        best = int(np.argmax(np.abs(with_change)))
        changes.append(abs(with_change[best]))
        levels.append(float(np.abs(with_level).max()))
        residual = ((values[:, None] - state) ** 2).mean(axis=0)
        if 1.0 - float(residual.min()) / float(values.var()) >= SAME_NUMBER:
            votes.append("absolute")
        elif changes[-1] >= GOES_WITH and changes[-1] > levels[-1]:
            votes.append("difference")
            slopes.append(float(np.cov(values, change[:, best])[0, 1] / values.var(ddof=1)))
        elif levels[-1] >= STANDS_WITH:
            votes.append("absolute")
    if not changes:
        return ActionEvidence(None, "every number is constant")
    figures = (
        f"median correlation with the change of the state {np.median(changes):.2f}, "
        f"with the state itself {np.median(levels):.2f}"
    )
    for vote in ("absolute", "difference"):
        if votes.count(vote) >= max(1, MAJORITY * len(votes), len(changes) / 3):
            meaning = "absolute" if vote == "absolute" else delta_or_velocity(slopes, fps)
            return ActionEvidence(meaning, f"{votes.count(vote)} of {len(changes)} numbers; {figures}")
    return ActionEvidence(None, f"absolute, delta or velocity? {figures}")


def delta_or_velocity(slopes: Sequence[float], fps: Fraction | None) -> ActionMeaning:
    """Return "velocity" where one unit of action changes the state by 1/fps; a delta may have any unit."""
    typical = abs(float(np.median(slopes)))
    if fps is not None and not ONE_UNIT[0] <= typical <= ONE_UNIT[1]:
        return "velocity" if ONE_UNIT[0] <= typical * float(fps) <= ONE_UNIT[1] else "delta"
    return "delta"


def find_grippers(pairs: Pairs, names: Sequence[str], state_names: Sequence[str]) -> list[GripperEvidence]:
    """Return the numbers of an action that look like grippers: called so, or the last one and only at two extremes."""
    action, state, _ = stacked(pairs)
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
            if one.std() and other.std() and float(np.corrcoef(one, other)[0, 1]) < -STANDS_WITH:
                return np.abs(one - other)
    return None


def stacked(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return actions, the states after them, and how these changed, of all episodes behind each other."""
    actions, states, changes = [], [], []
    for action, state in pairs:
        if len(action) > 1 and np.isfinite(action).all() and np.isfinite(state).all():
            actions.append(action[:-1].astype(np.float64))
            states.append(state[1:].astype(np.float64))
            changes.append(np.diff(state.astype(np.float64), axis=0))
    if not actions:
        width = (pairs[0][0].shape[1], pairs[0][1].shape[1]) if pairs else (0, 0)
        return np.zeros((0, width[0])), np.zeros((0, width[1])), np.zeros((0, width[1]))
    return np.concatenate(actions), np.concatenate(states), np.concatenate(changes)


def correlations(values: np.ndarray, columns: np.ndarray) -> Float64[np.ndarray, " column"]:
    """Return the correlation of values with every column; 0 where one is constant."""
    centred, others = values - values.mean(), columns - columns.mean(axis=0)
    scale = np.sqrt((centred**2).sum() * (others**2).sum(axis=0))
    return np.divide(centred @ others, scale, out=np.zeros(columns.shape[1]), where=scale > 0)
