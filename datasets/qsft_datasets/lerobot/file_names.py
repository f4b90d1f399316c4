"""Names of data and video files: templates of meta/info.json, and what really stands on the disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from vlm_qsft.errors import DatasetError

FIELD = re.compile(r"\{(\w+)(?::0?(\d{1,2})d)?\}")
"""{episode_index:06d} or {video_key}. Python's own format() would let a file ask for gigabytes of zeros."""


def fill(template: str, values: Mapping[str, int | str]) -> str:
    """Return the file name, relative to the data set.

    Raises:
        DatasetError: the template asks for something else, or leads out of the data set.
    """

    def value_of(match: re.Match[str]) -> str:
        name, width = match[1], int(match[2] or 0)
        if name not in values:
            raise DatasetError(
                f"meta/info.json names files as '{template:.200}': '{name}' is not known. "
                f"Known: {', '.join(sorted(values))}."
            )
        value = values[name]
        return f"{value:0{width}d}" if isinstance(value, int) else value

    name = FIELD.sub(value_of, template)
    if re.search(r"[{}\0]", FIELD.sub("", template)) or "\0" in name or len(name) > 1024:
        raise DatasetError(f"meta/info.json names files as '{template:.200}', which is no pattern of file names.")
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
        raise DatasetError(f"meta/info.json names the file '{name:.200}', which lies outside of the data set.")
    return name


class FilesOnDisk:
    """Which files exist, one listing per folder: a data set has up to millions of files on a network disk."""

    def __init__(self, root: Path) -> None:
        """Begin without any listing."""
        self._root = root
        self._listings: dict[str, frozenset[str]] = {}

    def has(self, name: str) -> bool:
        """Tell whether a file, relative to the root, exists."""
        folder, _, last = name.rpartition("/")
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(self._root / folder))
            except OSError:
                self._listings[folder] = frozenset()
        return last in self._listings[folder]

    def count(self, names: Iterable[str]) -> int:
        """Return how many of these files exist."""
        return sum(self.has(name) for name in names)
