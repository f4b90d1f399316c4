"""Durable files: written whole under another name, synced, then renamed; a full disk is an error with a remedy."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlm_qsft.errors import StorageError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
IMPOSSIBLE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR,
    errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
"""No permission, something else stands where a file or folder is to be, or it was deleted meanwhile."""
PARTIAL_SUFFIX = ".partial"
COPY_BYTES = 1024**2


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a file system refuses inside the block into a StorageError that names `path`.

    Raises:
        StorageError: nothing could be written; the file system's reason and the remedy.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageError(
                f"{path} could not be written: {os.strerror(error.errno)}. What was complete before is kept; "
                "free space, then run the same command again: it continues."
            ) from error
        if error.errno in IMPOSSIBLE:
            raise StorageError(
                f"{path} could not be written: {os.strerror(error.errno)}{_place(error, path)}. Choose another folder."
            ) from error
        raise


def write_durably(path: Path, content: bytes) -> None:
    """Write a file that is either whole or absent, whatever happens meanwhile.

    The partial file carries the process id, so that two processes that write the same episode do not meet.

    Raises:
        StorageError: disk full or no permission; no partial file stays.
    """
    partial = partial_path(path)
    with storage_errors(path):
        try:
            with open(partial, "wb", buffering=0) as file:
                view = memoryview(content)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


def copy_durably(source: Path, path: Path) -> None:
    """Copy a file so that the copy is either whole or absent, whatever happens meanwhile.

    Raises:
        StorageError: disk full or no permission; no partial file stays.
        OSError: the source cannot be read.
    """
    partial = partial_path(path)
    with open(source, "rb") as reading, storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(partial, "wb") as writing:
                shutil.copyfileobj(reading, writing, COPY_BYTES)
                writing.flush()
                os.fsync(writing.fileno())
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


def partial_path(path: Path) -> Path:
    """Return the name under which this process writes a file or folder before it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")


def is_partial(path: Path) -> bool:
    """Tell whether a name is one of `partial_path`: of this process, or of one that was killed."""
    return path.name.startswith(".") and path.name.endswith(PARTIAL_SUFFIX)


def remove_partials(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder, if there is one. Only for who holds its lock.

    Raises:
        StorageError: no permission.
    """
    with storage_errors(folder):
        for path in folder.iterdir() if folder.is_dir() else ():
            if is_partial(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def sync_path(path: Path) -> None:
    """Make the content of a file, or the names inside a folder, survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place(error: OSError, path: Path) -> str:
    """Return which part of the path is concerned, where it is not the path itself."""
    return f" ({error.filename})" if error.filename and Path(error.filename) != path else ""
