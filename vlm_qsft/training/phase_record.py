"""What a phase folder was begun with: the same command continues it, another one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.settings_record import refuse_other_settings

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
    if not path.exists() or list(out.iterdir()) == [path]:
        write_durably(path, json.dumps(asked, indent=2).encode())
        return
    refuse_other_settings(out, begun=json.loads(path.read_text(encoding="utf-8")), asked=asked)
