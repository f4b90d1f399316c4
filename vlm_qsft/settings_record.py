"""The settings that stand beside a result: they are read back, and what would continue it must ask for the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from vlm_qsft.errors import InvalidSetting, UnknownName

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


def settings_from_json[Settings](kind: type[Settings], document: Mapping[str, Any], *, what: str) -> Settings:
    """Rebuild settings from their JSON values; lists become tuples again.

    Args:
        kind: their dataclass.
        what: what one of them is called, for the error: "policy setting".

    Raises:
        UnknownName: a field that this version does not have.
        InvalidSetting: a value of the wrong type, or whatever else the settings refuse.
    """
    names = {field.name for field in fields(cast(Any, kind))}
    for name in document:
        if name not in names:
            raise UnknownName(what, name, names)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise InvalidSetting(f"A {what} is missing or of the wrong type: {dict(document)}.") from error


def flat(record: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return a nested record with dotted names."""
    flattened: dict[str, object] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flattened |= flat(value, f"{prefix}{name}.")
        else:
            flattened[prefix + name] = value
    return flattened
