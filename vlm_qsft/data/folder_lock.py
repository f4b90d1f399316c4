"""FolderLock: a folder is written by one process at a time, and one that holds somebody else's files by none."""

from __future__ import annotations

import fcntl
import os
import warnings
from pathlib import Path
from types import TracebackType

from vlm_qsft.data.storage import is_partial, storage_errors
from vlm_qsft.errors import InUse

LOCK_NAME = ".lock"


class FolderLock:
    """Holds a folder for this process until `release`; made where it does not exist.

    A process that is killed gives the lock back and leaves an empty `.lock`; one that ends leaves nothing.
    """

    def __init__(self, folder: Path, *, waits: bool = False) -> None:
        """Take the lock.

        Args:
            waits: wait, after a warning, until the other process is through; otherwise refuse.
        Raises:
            InUse: another process holds it.
            StorageError: the folder cannot be made or written, or is a file.
        """
        self._path = folder / LOCK_NAME
        self._descriptor: int | None = None
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            while self._descriptor is None:
                descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o644)
                if not _lock(descriptor, folder, waits=waits):
                    os.close(descriptor)
                    raise InUse(
                        f"{folder} is being written by another process. Wait for it or stop it, or use another folder."
                    )
                # Whoever held the lock may have removed the file meanwhile: then this lock protects nothing.
                if _is_at(descriptor, self._path):
                    self._descriptor = descriptor
                else:
                    os.close(descriptor)

    def release(self) -> None:
        """Give the folder back; a second call does nothing."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def contents(folder: Path) -> list[Path]:
    """Return what stands in a folder, without the lock and what a killed process left half-written; sorted."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name != LOCK_NAME and not is_partial(path))


def _lock(descriptor: int, folder: Path, *, waits: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not waits:
            return False
        warnings.warn(f"Another process writes {folder}: waiting for it.", stacklevel=3)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
