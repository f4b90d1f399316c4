"""HDF5 files below a root, found by their names and first bytes."""

from __future__ import annotations

import os
from pathlib import Path

from qsft_datasets.natural_order import natural_key
from vlm_qsft.errors import DatasetError

SUFFIXES = (".hdf5", ".h5", ".hdf")
MAGIC = b"\x89HDF\r\n\x1a\n"
USER_BLOCKS = (0, 512, 1024, 2048, 4096)
"""Where the format lets its signature stand: at the beginning or after a block of the user's own."""
LOOK_DEPTH = 4
LOOK_FOLDERS = 200
"""How far `first_hdf5_file` looks into a folder that may be anything."""


def is_hdf5(path: Path) -> bool:
    """Return whether a file carries the signature of HDF5; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            for offset in USER_BLOCKS:
                file.seek(offset)
                if file.read(len(MAGIC)) == MAGIC:
                    return True
    except OSError:
        return False
    return False


def first_hdf5_file(root: Path) -> Path | None:
    """Return an HDF5 file at or below a root, looking at a bounded number of folders; None where there is none."""
    if root.is_file():
        return root if is_hdf5(root) else None
    for n_seen, (folder, folders, names) in enumerate(os.walk(root)):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = sorted(folders, key=natural_key) if depth < LOOK_DEPTH else []
        for name in sorted(names, key=natural_key):
            if name.endswith(SUFFIXES) and is_hdf5(Path(folder, name)):
                return Path(folder, name)
        if n_seen >= LOOK_FOLDERS:
            return None
    return None


def hdf5_files(root: Path) -> list[Path]:
    """Return the HDF5 files of a root, a file or a folder, in natural order.

    Raises:
        DatasetError: there is none.
    """
    if root.is_file():
        return [root]
    found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names if name.endswith(SUFFIXES)]
    if not found:
        raise DatasetError(f"{root} holds no HDF5 file ({', '.join('*' + suffix for suffix in SUFFIXES)}).")
    return sorted(found, key=lambda path: natural_key(path.relative_to(root).as_posix()))
