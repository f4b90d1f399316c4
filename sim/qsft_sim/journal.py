"""A file of JSON lines that survives a kill: whole lines only, one per episode, in order."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType

from vlm_qsft.errors import InUse, InvalidSetting, StorageError


class Journal:
    """Lines appended durably, and read back when work is taken up again.

    Used as a context manager; the file is locked meanwhile, so that two evaluations cannot write into each other.
    A last line without its line end was being written when the process died: it is cut off, unless it begins as no
    line of this journal does; then the file is somebody else's and stays as it is.
    """

    def __init__(self, path: Path, *, line_begins: str) -> None:
        """Name the file; nothing is opened yet.

        Args:
            line_begins: how every line begins.
        """
        self._path = path
        self._line_begins = line_begins
        self._descriptor = -1
        self._is_new = False

    def __enter__(self) -> Journal:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._is_new = not self._path.exists()
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise InUse(f"{self._path} is being written by another process. Wait for it or stop it.") from error
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise StorageError(f"{self._path} is no ordinary file: results are read back from it. Name another one.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._is_new and os.fstat(self._descriptor).st_size == 0:
            self._path.unlink(missing_ok=True)  # an empty file would look like an evaluation that was begun
        os.close(self._descriptor)

    def lines(self) -> list[str]:
        """Return the whole lines, and cut off what follows the last of them.

        Raises:
            InvalidSetting: the file holds something else.
        """
        try:
            content = self._path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise self._foreign() from error
        whole = content[: content.rfind("\n") + 1]
        rest = content[len(whole) :][: len(self._line_begins)]
        are_ours = all(line.startswith(self._line_begins) for line in whole.splitlines())
        if not are_ours or not self._line_begins.startswith(rest):
            raise self._foreign()
        os.ftruncate(self._descriptor, len(whole.encode()))
        return whole.splitlines()

    def _foreign(self) -> InvalidSetting:
        return InvalidSetting(f"{self._path} holds something else than results of episodes. Write to another file.")

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
