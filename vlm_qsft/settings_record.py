"""The settings that stand beside a result: what would continue it must be asked for with the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from vlm_qsft.errors import InvalidSetting

ABSENT = "absent"


def refuse_other_settings(place: Path, *, begun: Mapping[str, object], asked: Mapping[str, object]) -> None:
    """Refuse to continue what other settings began.

    Args:
        place: the file or folder that would be continued.
        begun: nested JSON values, read from there.
        asked: what is asked for now; tuples count as lists, as they do in a file.

    Raises:
        InvalidSetting: names every setting that differs, with both values.
    """
    before, now = flat(begun), flat(json.loads(json.dumps(asked)))
    differences = [
        f"{name} was {before.get(name, ABSENT)}, is {now.get(name, ABSENT)} now"
        for name in sorted(before.keys() | now.keys())
        if before.get(name, ABSENT) != now.get(name, ABSENT)
    ]
    if differences:
        raise InvalidSetting(
            f"{place} was begun with other settings: {'; '.join(differences)}. "
            "Use the same ones to continue it, or write elsewhere."
        )


def flat(record: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return a nested record with dotted names."""
    flattened: dict[str, object] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flattened |= flat(value, f"{prefix}{name}.")
        else:
            flattened[prefix + name] = value
    return flattened
