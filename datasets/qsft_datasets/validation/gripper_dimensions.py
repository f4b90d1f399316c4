"""Which dimensions are grippers: by their names."""

from __future__ import annotations

from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY

WORDS = ("grip", "finger", "jaw", "claw")


def gripper_dimensions(subject: Subject, key: str = ACTION_KEY) -> list[int]:
    """Return the places of gripper dimensions in a vector."""
    names = subject.names(key)
    return [place for place, name in enumerate(names) if any(word in name.lower() for word in WORDS)]
