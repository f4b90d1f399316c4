"""What a phase folder was begun with: the same command continues it, another one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.errors import InvalidSetting

RECORD_FILE = "settings.json"


def agree_on_settings(out: Path, asked: Mapping[str, Any]) -> None:
    """Store what the phase is begun with, or compare it with what was stored.

    A folder in which nothing but the record stands may be begun anew: nothing was trained with the other settings.

    Args:
        asked: nested JSON values: everything that decides the result.

    Raises:
        InvalidSetting: the folder was begun with other settings; names every one, with both values.
        StorageError: nothing can be written there.
    """
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    path = out / RECORD_FILE
    asked = json.loads(json.dumps(asked))
    if not path.exists() or list(out.iterdir()) == [path]:
        write_durably(path, json.dumps(asked, indent=2).encode())
        return
    before, now = _flat(json.loads(path.read_text(encoding="utf-8"))), _flat(asked)
    differences = [
        f"{name} was {before.get(name, 'absent')}, is {now.get(name, 'absent')} now"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if differences:
        raise InvalidSetting(
            f"{out} was begun with other settings: {'; '.join(differences)}. "
            "Use the same ones to continue it, or another folder."
        )


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, content in document.items():
        if isinstance(content, Mapping):
            flat |= _flat(content, f"{prefix}{name}.")
        else:
            flat[prefix + name] = content
    return flat
