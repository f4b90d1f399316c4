"""A mapping beside the good set, as a conversion leaves it in meta/."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from qsft_datasets.mapping import ActionMeaning, GripperMapping, Mapping, OutcomeMapping, VectorPart
from qsft_datasets.mapping_file import MAPPING_NAME
from qsft_datasets.mapping_text import mapping_text


def declare(
    root: Path,
    *,
    dx: ActionMeaning = "delta",
    dy: ActionMeaning = "delta",
    gripper: ActionMeaning = "absolute",
    gripper_ends: tuple[float, float] | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
) -> Path:
    """Write the mapping; `gripper_ends` are (open, closed) in the numbers of the source."""
    mapping = Mapping(
        name="good",
        format="rlds",
        fps=Fraction(10),
        robot_type="unknown",
        cameras=(),
        state=(VectorPart("state", ("x", "y", "gripper")),),
        action=(
            VectorPart("action/dx", ("dx",), meaning=dx),
            VectorPart("action/dy", ("dy",), meaning=dy),
            VectorPart("action/gripper", ("gripper",), meaning=gripper, scale=scale, offset=offset),
        ),
        gripper=() if gripper_ends is None else (GripperMapping("gripper", *gripper_ends),),
        instruction_text="do it",
        outcome=OutcomeMapping("assume-success"),
    )
    (root / "meta" / MAPPING_NAME).write_text(mapping_text(mapping))
    return root
