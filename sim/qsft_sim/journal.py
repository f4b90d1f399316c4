"""A file of JSON lines that survives a kill: whole lines only, one per episode, in order."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from vlm_qsft.errors import StorageError


class Journal:
    """Lines appended durably, and read back when work is taken up again.

    Used as a context manager; the file is locked meanwhile, so that two evaluations cannot write into each other.
    A last line without its line end was being written when the process died: it is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Journal:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise StorageError(f"{self._path} is being written by another process. Wait for it or stop it.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def lines(self) -> list[str]:
        """Return the whole lines, and cut off what follows the last of them."""
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        os.ftruncate(self._descriptor, len(whole))
        return whole.decode().splitlines()

    def append(self, line: str) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            StorageError: disk full; the lines before it are kept.
        """
        content = line.encode() + b"\n"
        try:
            os.lseek(self._descriptor, 0, os.SEEK_END)
            while content:
                content = content[os.write(self._descriptor, content) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written: {error.strerror}. The lines before are kept: free space, then run "
                "the same command again."
            ) from error
