"""Which dimensions are grippers: by the mapping, and by their names."""

from __future__ import annotations

from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY

WORDS = ("grip", "finger", "jaw", "claw")


def gripper_dimensions(subject: Subject, key: str = ACTION_KEY) -> list[int]:
    """Return the places of gripper dimensions in a vector."""
    declared = {gripper.name for gripper in subject.mapping.gripper} if subject.mapping and key == ACTION_KEY else ()
    return [
        place
        for place, name in enumerate(subject.names(key))
        if name in declared or any(word in name.lower() for word in WORDS)
    ]
