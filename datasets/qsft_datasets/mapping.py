"""Mapping: from the features of a source to the canonical data set, in a YAML file that a person reviews."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

ActionMeaning = Literal["absolute", "delta", "velocity"]
JpegDecoder = Literal["opencv", "tensorflow"]


@dataclass(frozen=True)
class CameraMapping:
    """One camera.

    Attributes:
        name: in the canonical data set, without "observation.images.".
        path: feature of the source.
        channels: order of the colours in the source.
        turn_deg: clockwise turn that puts the picture upright: 0, 90, 180 or 270.
        size: (height, width) in pixels; None takes the source's.
    """

    name: str
    path: str
    channels: Literal["rgb", "bgr"] = "rgb"
    turn_deg: int = 0
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class VectorPart:
    """A stretch of a source feature that becomes part of state or action.

    Attributes:
        path: feature of the source.
        names: one per number taken.
        columns: which numbers of the feature; None takes all.
        meaning: of an action's numbers; None for state.
        scale, offset: number = source * scale + offset, one each for all names; exact where 1 and 0.
    """

    path: str
    names: tuple[str, ...]
    columns: tuple[int, ...] | None = None
    meaning: ActionMeaning | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class GripperMapping:
    """Which number of the action is a gripper, and what its extremes mean, in the source's own numbers."""

    name: str
    open: float
    closed: float


@dataclass(frozen=True)
class OutcomeMapping:
    """How success is known.

    Attributes:
        source: "flag", "path", "reward", "csv", "assume-success", "assume-failure" or "unknown" (refused until chosen).
        path: feature (flag, reward), or nothing.
        pattern: regular expression on the file's path ("path"): a match is a success.
        threshold: of the feature, for a flag or a reward: at least this much is a success.
        where: "last" step, "any" step, or "episode" for a per-episode feature.
    """

    source: Literal["flag", "path", "reward", "csv", "assume-success", "assume-failure", "unknown"]
    path: str | None = None
    pattern: str | None = None
    threshold: float = 0.5
    where: Literal["last", "any", "episode"] = "last"


@dataclass(frozen=True)
class Mapping:
    """Everything a person decides before a conversion. What it does not name is refused, never padded or guessed.

    Attributes:
        name: of the data set.
        format: of the source it was made for.
        fps: control steps per second, exact.
        robot_type: free text.
        cameras: in the order of the canonical data set.
        state, action: parts, joined in this order.
        gripper: of the action; empty where there is none.
        instruction: feature of the source, or None with `instruction_text`.
        instruction_text: the same sentence for every episode.
        reward: feature, for the rule "keep"; None where the source has none.
        terminated: feature that says so per step, believed only through `terminal_rule`.
        terminal_rule: "outcome" (a success terminates, everything else was cut off), "flag" (the feature, on the last
            step), "never" (every episode was cut off).
        last_step: "padding" where the last step's action and reward are padding (RLDS): it is left out; "action" where
            it is a step like any other.
        outcome: how success is known.
        jpeg: decoder by whose pixels pictures are checked and, where they have to change, decoded.
        keep: canonical name -> feature, other numbers that are kept as they are.
        attributes: canonical name -> per-episode feature.
        ignore: feature -> why it is left out.
    """

    name: str
    format: str
    fps: Fraction
    robot_type: str
    cameras: tuple[CameraMapping, ...]
    state: tuple[VectorPart, ...]
    action: tuple[VectorPart, ...]
    outcome: OutcomeMapping
    gripper: tuple[GripperMapping, ...] = ()
    instruction: str | None = None
    instruction_text: str | None = None
    reward: str | None = None
    terminated: str | None = None
    terminal_rule: Literal["outcome", "flag", "never"] = "outcome"
    last_step: Literal["padding", "action"] = "action"
    jpeg: JpegDecoder = "opencv"
    keep: MappingType[str, str] = field(default_factory=dict)
    attributes: MappingType[str, str] = field(default_factory=dict)
    ignore: MappingType[str, str] = field(default_factory=dict)
