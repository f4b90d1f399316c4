"""`checkpoint-N/`: what a phase needs to go on after step N, and the marker that says it is whole.

The folder is written by transformers' Trainer and our callbacks. Only a folder with the marker, which is written last
and durably and lists every file's size, is ever resumed from; anything else is what a kill left behind.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import storage_errors, sync_path, write_durably
from vlm_qsft.errors import DatasetError

MARKER = "complete.json"
PREFIX = "checkpoint-"


def mark_complete(folder: Path) -> None:
    """Bring every file of `folder` to the disk, then write the marker.

    Raises:
        StorageError: the disk is full or not writable.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MARKER)
    with storage_errors(folder):
        for path in files:
            sync_path(path)
        sync_path(folder)
    write_durably(folder / MARKER, json.dumps({path.name: path.stat().st_size for path in files}).encode())
    sync_path(folder)
    sync_path(folder.parent)


def is_complete(folder: Path) -> bool:
    """Return whether the marker stands, can be read, and every file it lists has its size."""
    try:
        sizes = read_json(folder / MARKER)
    except DatasetError:
        return False
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items())


def step_of(folder: Path) -> int:
    """Return the optimiser step N of `checkpoint-N`."""
    return int(folder.name.removeprefix(PREFIX))


def step_folders(out: Path) -> list[Path]:
    """Return every `checkpoint-N` of a phase, whole or not, by step."""
    found = [path for path in out.glob(PREFIX + "*") if path.is_dir() and path.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=step_of)


def latest_complete(out: Path) -> Path | None:
    """Return the whole checkpoint with the most steps, or None."""
    return next((folder for folder in reversed(step_folders(out)) if is_complete(folder)), None)


def keep_only(out: Path, folder: Path | None) -> None:
    """Remove every `checkpoint-N` of a phase but `folder`; the marker goes first, so that no rest looks whole."""
    for other in step_folders(out):
        if other != folder:
            (other / MARKER).unlink(missing_ok=True)
            shutil.rmtree(other)
