"""Action meaning: absolute, delta or velocity, from the correlation of actions with states and their differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qsft_datasets.validation.finding import Fact, Result, error, warning
from qsft_datasets.validation.gripper_dimensions import gripper_dimensions
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY, STATE_KEY

Meaning = Literal["absolute", "delta", "velocity", "unclear"]
CLEAR = 0.4
"""Correlation from which on an action follows the state; unrelated signals of a few hundred steps reach 0.1."""
MARGIN = 0.1
"""How much larger one correlation must be than the other: slow motion makes both similar."""
CERTAIN = 0.9
"""Correlation from which on the measurement overrules what a person declared."""
MEASURED_ROWS = 200_000
AXES = ("x", "y", "z", "rx", "ry", "rz", "roll", "pitch", "yaw", "theta")
RELATIVE_WORDS = ("delta", "rel", "diff", "vel", "speed", "twist")


@dataclass(frozen=True)
class Measured:
    """What was measured on one dimension.

    Attributes:
        with_state: correlation of the action with the state after it.
        with_difference: correlation of the action with the change of the state that follows.
        slope: change of the state per unit of action.
    """

    name: str
    with_state: float
    with_difference: float
    slope: float

    @property
    def is_certain(self) -> bool:
        """Whether one correlation is nearly 1 and the other far from it: no accident of slow motion."""
        state, difference = abs(self.with_state), abs(self.with_difference)
        return max(state, difference) >= CERTAIN and min(state, difference) < CERTAIN / 2

    def meaning(self, fps: float) -> Meaning:
        """Return what the action is: a velocity moves the state by its value times the period."""
        state, difference = abs(self.with_state), abs(self.with_difference)
        if max(state, difference) < CLEAR or abs(state - difference) < MARGIN:
            return "unclear"
        if state > difference:
            return "absolute"
        return "velocity" if abs(np.log(max(1e-12, abs(self.slope)) * fps)) < np.log(2.0) and fps > 4 else "delta"


def check_action_meaning(subject: Subject) -> Iterator[Result]:
    """Measure what every action dimension means and compare it with its name and with the others."""
    if not subject.has(ACTION_KEY, STATE_KEY):
        return
    fps = float(subject.fps)
    measured = measure(subject)
    if not measured:
        yield Fact("action meaning", "cannot be measured: no state dimension belongs to an action dimension")
        return
    meanings: dict[str, Meaning] = {part.name: part.meaning(fps) for part in measured}
    yield Fact("action meaning", in_words(measured, meanings))
    for part in measured:
        says_relative = is_relative_name(part.name)
        if says_relative and meanings[part.name] == "absolute":
            yield warning(
                f"Action '{part.name}' follows the state itself (correlation {part.with_state:.2f}), not its change "
                f"({part.with_difference:.2f}): it is absolute, its name says otherwise.",
                "Correct the meaning (or the name) in the mapping.",
            )
        if meanings[part.name] in ("delta", "velocity") and part.with_difference < 0:
            yield warning(
                f"Action '{part.name}' moves the state the other way (correlation {part.with_difference:.2f}).",
                "Check the sign and the frame of reference of this dimension.",
            )
    clear: dict[str, Meaning] = {name: meaning for name, meaning in meanings.items() if meaning != "unclear"}
    absolute = [name for name, meaning in clear.items() if meaning == "absolute"]
    relative = [name for name, meaning in clear.items() if meaning != "absolute"]
    if absolute and relative:
        yield warning(
            f"Some actions are absolute ({', '.join(absolute)}), others changes ({', '.join(relative)}).",
            "If the robot really takes both, nothing is wrong; else check the mapping part by part.",
        )
    yield from against_mapping(subject, measured, clear)


def against_mapping(subject: Subject, measured: list[Measured], clear: dict[str, Meaning]) -> Iterator[Result]:
    """Compare the measured meanings with those that a person wrote into the mapping."""
    if subject.mapping is None:
        return
    declared = {name: part.meaning for part in subject.mapping.action for name in part.names}
    for part in measured:
        found, meaning = clear.get(part.name), declared.get(part.name)
        if found is None or meaning is None or (found == "absolute") == (meaning == "absolute"):
            continue
        level = error if part.is_certain else warning
        yield level(
            f"Action '{part.name}' is declared {meaning} and measured {found} (correlation with the state "
            f"{part.with_state:.2f}, with its change {part.with_difference:.2f}).",
            "Look at this number over an episode; where the mapping is wrong, correct it and convert again.",
        )


def in_words(measured: list[Measured], meanings: dict[str, Meaning]) -> str:
    """Return which dimensions mean what, with the range of the correlations that say so."""
    parts = []
    for meaning in ("absolute", "delta", "velocity", "unclear"):
        of = [part for part in measured if meanings[part.name] == meaning]
        if not of:
            continue
        names = ", ".join(part.name for part in of[:8]) + (" ..." if len(of) > 8 else "")
        spans = [
            f"{word} {min(values):+.2f}" + (f" to {max(values):+.2f}" if len(values) > 1 else "")
            for word, values in (
                ("the state", [part.with_state for part in of]),
                ("its change", [part.with_difference for part in of]),
            )
        ]
        parts.append(f"{len(of)} {meaning}: {names} (correlation with {spans[0]}, with {spans[1]})")
    return "; ".join(parts)


def measure(subject: Subject) -> list[Measured]:
    """Return the correlations of every action dimension with the state dimension that belongs to it."""
    action, state = subject.column(ACTION_KEY), subject.column(STATE_KEY)
    layout = subject.layout
    rows = np.ones(len(action), bool)
    rows[layout.starts + layout.lengths - 1] = False  # no state after it
    places = np.flatnonzero(rows)[:: max(1, len(action) // MEASURED_ROWS)]
    results = []
    for dimension, of_state in pairs(subject):
        given = action[places, dimension].astype(np.float64)
        after = state[places + 1, of_state].astype(np.float64)
        change = after - state[places, of_state]
        finite = np.isfinite(given) & np.isfinite(after) & np.isfinite(change)
        given, after, change = given[finite], after[finite], change[finite]
        if len(given) < 3 or min(np.std(given), np.std(after), np.std(change)) == 0.0:
            continue
        with_state, with_change = (float(np.corrcoef(given, other)[0, 1]) for other in (after, change))
        slope = float(np.cov(given, change)[0, 1] / np.var(given, ddof=1))
        results.append(Measured(subject.names(ACTION_KEY)[dimension], with_state, with_change, slope))
    return results


def pairs(subject: Subject) -> list[tuple[int, int]]:
    """Return (action, state) dimensions that belong together: by name, else by place in vectors of one size."""
    actions, states = subject.names(ACTION_KEY), subject.names(STATE_KEY)
    grippers = set(gripper_dimensions(subject))
    bare = {stem(name): place for place, name in enumerate(states)}
    found = [(place, bare[stem(name)]) for place, name in enumerate(actions) if stem(name) in bare]
    if not found and len(actions) == len(states):
        found = [(place, place) for place in range(len(actions))]
    return [(place, of_state) for place, of_state in found if place not in grippers]


def stem(name: str) -> str:
    """Return a name without what says that it is a change: `dx`, `delta_x` and `vel_x` are all `x`."""
    words = [word for word in name.lower().replace("/", "_").replace(".", "_").split("_") if word]
    kept = [word for word in words if word not in (*RELATIVE_WORDS, "target", "abs", "pos", "cmd", "command", "action")]
    return "_".join(word[1:] if is_difference(word) else word for word in kept or words)


def is_relative_name(name: str) -> bool:
    """Tell whether a name says that the action is a change."""
    words = name.lower().replace("/", "_").replace(".", "_").split("_")
    return any(word in RELATIVE_WORDS or is_difference(word) for word in words)


def is_difference(word: str) -> bool:
    """Tell whether a word is an axis with a `d` before it: dx, dyaw."""
    return word.startswith("d") and word[1:] in AXES
