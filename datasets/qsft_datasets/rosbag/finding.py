"""Bags below a root: folders with a metadata.yaml, or single MCAP and db3 files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from qsft_datasets.natural_order import natural_key
from vlm_qsft.errors import DatasetError

METADATA = "metadata.yaml"
METADATA_KEY = b"rosbag2_bagfile_information"
MAGIC = {".mcap": b"\x89MCAP0\r\n", ".db3": b"SQLite format 3\x00"}
LOOK_DEPTH = 3
LOOK_FOLDERS = 200
"""How far `recognised_bag` looks into a folder that may be anything."""


def is_bag(path: Path) -> bool:
    """Return whether a path is a bag: a folder with rosbag2's metadata, or an MCAP or db3 file by its first bytes."""
    try:
        if path.is_dir():
            with (path / METADATA).open("rb") as file:
                return METADATA_KEY in file.read(4096)
        magic = MAGIC.get(path.suffix)
        if magic is None:
            return False
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def recognised_bag(root: Path) -> Path | None:
    """Return a bag at or below a root, looking at a bounded number of folders; None where there is none."""
    if is_bag(root):
        return root
    for n_seen, (folder, folders, names) in enumerate(os.walk(root)):
        depth = len(Path(folder).relative_to(root).parts)
        files = [name for name in names if Path(name).suffix in MAGIC]
        for name in [*sorted(folders, key=natural_key), *sorted(files, key=natural_key)]:
            if is_bag(Path(folder, name)):
                return Path(folder, name)
        if depth >= LOOK_DEPTH:
            folders.clear()
        if n_seen >= LOOK_FOLDERS:
            return None
    return None


def bags_below(root: Path) -> list[Path]:
    """Return the bags of a root in natural order; a folder with metadata is one bag, whatever its files.

    Raises:
        DatasetError: there is none; or a folder holds the parts of one bag without the metadata that joins them.
    """
    if is_bag(root) or root.is_file():
        return [root]
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        bags = [name for name in folders if is_bag(Path(folder, name))]
        files = [name for name in names if Path(name).suffix in MAGIC and is_bag(Path(folder, name))]
        _check_not_split(Path(folder), files)
        found += [Path(folder, name) for name in [*bags, *files]]
        folders[:] = [name for name in folders if name not in bags]
    if not found:
        raise DatasetError(f"{root} holds no bag: no folder with {METADATA}, no *.mcap, no *.db3.")
    return sorted(found, key=lambda path: natural_key(path.relative_to(root).as_posix()))


def _check_not_split(folder: Path, files: list[str]) -> None:
    """Refuse files that rosbag2 wrote as parts of one bag (name_0, name_1, ...): episodes would be cut in pieces."""
    numbered = [match for name in files if (match := re.fullmatch(r"(.*)_(\d+)\.(mcap|db3)", name))]
    for stem in {match[1] for match in numbered}:
        numbers = sorted(int(match[2]) for match in numbered if match[1] == stem)
        if stem == folder.name and numbers == list(range(len(numbers))) and len(numbers) > 1:
            raise DatasetError(
                f"{folder} holds {len(numbers)} parts of one bag and no {METADATA}: the recording was interrupted. "
                f"Run: ros2 bag reindex {folder}"
            )
