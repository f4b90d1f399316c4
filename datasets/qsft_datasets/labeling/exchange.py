"""Exchange: new folders built beside the old ones and put in their place at once; a kill anywhere loses nothing.

root/relabeling/plan.json   which labels are being written to what; another plan begins anew
root/relabeling/new/        meta/ and data/ of the labelled data set, file by file
root/relabeling/ready       everything is there and on the disk: from here on the exchange is only renames
root/relabeling/previous/   meta/ and data/ of before, until the exchange is over

meta/ leaves first and comes last, so that no reader takes a mixture for a data set.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlm_qsft.data.folder_lock import FolderLock
from vlm_qsft.data.metadata import RELABELING_FOLDER
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import is_partial, storage_errors, sync_path, write_durably
from vlm_qsft.errors import DatasetError

FOLDERS = ("meta", "data")


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep other label commands off a data set.

    Raises:
        DatasetError: no such folder.
        InUse: another process labels it.
        StorageError: no permission to write it.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder with a data set.")
    with FolderLock(root):
        yield


def begin(root: Path, plan: dict[str, str]) -> Path:
    """Return the folder of the new data set, with what an interrupted run of the same plan has completed.

    Raises:
        DatasetError: the plan of the interrupted run is damaged.
        StorageError: no permission or disk full.
    """
    folder = root / RELABELING_FOLDER
    path = folder / "plan.json"
    if not path.exists() or read_json(path) != plan:
        with storage_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            write_durably(path, json.dumps(plan, indent=2).encode())
    for path in [path for path in folder.rglob(".*") if is_partial(path)]:
        path.unlink()
    return folder / "new"


def commit(root: Path) -> None:
    """Put the new folders in place of the old ones.

    Raises:
        StorageError: disk full or no permission; the same command continues.
    """
    folder = root / RELABELING_FOLDER
    with storage_errors(folder):
        for path in sorted((folder / "new").rglob("*")):
            if path.is_dir():
                sync_path(path)
        sync_path(folder / "new")
    write_durably(folder / "ready", b"")
    sync_path(folder)
    finish(root)


def finish(root: Path) -> None:
    """Complete an exchange that was ready when it was interrupted, and remove what it needed.

    Raises:
        StorageError: no permission; the same command continues.
    """
    folder = root / RELABELING_FOLDER
    if not (folder / "ready").exists():
        return
    new, previous = folder / "new", folder / "previous"
    with storage_errors(root):
        previous.mkdir(exist_ok=True)
        for name in FOLDERS:
            if (new / name).exists() and (root / name).exists():
                os.replace(root / name, previous / name)
        for name in reversed(FOLDERS):
            if (new / name).exists():
                os.replace(new / name, root / name)
        sync_path(root)
    discard(root)


def discard(root: Path) -> None:
    """Remove the folder of an exchange that is over or was never ready."""
    shutil.rmtree(root / RELABELING_FOLDER, ignore_errors=True)
