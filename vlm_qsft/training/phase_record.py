"""What a phase folder was begun with: the same command continues it, another one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlm_qsft.data.folder_lock import contents
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import write_durably
from vlm_qsft.errors import DatasetError, InvalidSetting
from vlm_qsft.settings_record import refuse_other_settings

RECORD_FILE = "settings.json"


def agree_on_settings(out: Path, asked: Mapping[str, Any]) -> None:
    """Store what the phase is begun with, or compare it with what was stored.

    A folder in which nothing but the record stands may be begun anew: nothing was trained with the other settings.

    Args:
        out: held by a `FolderLock`.
        asked: nested JSON values: everything that decides the result.

    Raises:
        InvalidSetting: the folder was begun with other settings, named with both values; or it holds something else,
            which would be lost among the checkpoints that come and go.
        StorageError: nothing can be written there.
    """
    path, found = out / RECORD_FILE, contents(out)
    begun = _read_record(path) if path in found else {}
    if found and begun.keys() != asked.keys():
        raise InvalidSetting(
            f"{out} is not empty ({', '.join(other.name for other in found[:3])}) and was not begun by this command. "
            "Choose another folder."
        )
    if found in ([], [path]):
        write_durably(path, json.dumps(asked, indent=2).encode())
        return
    refuse_other_settings(out, begun=begun, asked=asked)


def _read_record(path: Path) -> dict[str, Any]:
    """Return a record; empty where the file is of somebody else."""
    try:
        return read_json(path)
    except DatasetError:
        return {}
