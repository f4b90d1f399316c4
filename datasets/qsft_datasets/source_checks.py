"""What is checked of a source and a target before the first episode is converted: hours of work must not end at it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from qsft_datasets.mapping import Mapping
from qsft_datasets.source import EpisodeReference, Source
from vlm_qsft.data import Episode
from vlm_qsft.data.recording import BAD_EPISODE
from vlm_qsft.data.writer import REFUSED_PATH, is_finalized
from vlm_qsft.errors import DatasetError


@runtime_checkable
class ListedSource(Protocol):
    """A source whose metadata names every file (LeRobot)."""

    def missing_files(self, paths: Collection[str] | None = None) -> tuple[str, ...]:
        """Return the files that do not exist, relative to the root.

        Args:
            paths: features whose files count besides those that every feature needs; None counts all.
        """
        ...


def refuse_repeated_keys(source: Source, references: Sequence[EpisodeReference]) -> None:
    """Refuse a source whose episodes cannot be told apart.

    Raises:
        DatasetError: names the key.
    """
    seen: set[str] = set()
    for reference in references:
        if reference.key in seen:
            raise DatasetError(f"{source.root} has two episodes '{reference.key}'.")
        seen.add(reference.key)


def refuse_lost(references: Sequence[EpisodeReference]) -> None:
    """Refuse a source of which episodes are known to be lost, before hours of work end at them.

    Raises:
        DatasetError: says which file is missing or cut off, and how to go on without it.
    """
    files = list(dict.fromkeys(reference.lost for reference in references if reference.lost))
    if files:
        more = f" {len(files) - 1} more files are missing or cut off." if len(files) > 1 else ""
        raise DatasetError(f"{files[0]}{more} To leave out what is lost: --skip-bad.")


def refuse_missing_files(source: Source, mapping: Mapping) -> None:
    """Refuse a source that lacks a file which the mapping needs; a camera that is not used may be missing.

    Raises:
        DatasetError: names the file, and how to go on without it.
    """
    if not isinstance(source, ListedSource):
        return
    missing = source.missing_files([camera.path for camera in mapping.cameras])
    if missing:
        first, *others = missing
        more = f", and so are {len(others)} more files" if others else ""
        raise DatasetError(
            f"{source.root / first} is missing{more}: the metadata names what is not there. Copy the data set "
            "again. To leave out the episodes that need it: --skip-bad."
        )


def refuse_found_again(
    root: Path, references: Sequence[EpisodeReference], make_episode: Callable[[EpisodeReference], Episode]
) -> None:
    """Refuse to call a finalized data set complete that lacks episodes which can be read by now.

    Raises:
        DatasetError: names one, and why it was left out.
    """
    path = root / REFUSED_PATH
    if not is_finalized(root) or not path.exists():
        return
    refused = {entry["episode"]: entry["reason"] for entry in json.loads(path.read_text())}
    for reference in references:
        if reference.key in refused and not reference.lost:
            try:
                make_episode(reference)
            except BAD_EPISODE:
                continue
            raise DatasetError(
                f"{root} was finalized without {len(refused)} episodes, one of them '{reference.key}' "
                f"({refused[reference.key]}), which can be read now. Delete {root} and run the command again, or write "
                "to another folder."
            )


def refuse_overlap(source: Path, root: Path) -> None:
    """Refuse to write into the source, or around it.

    Raises:
        DatasetError: says so.
    """
    inside, outside = Path(root).resolve(), Path(source).resolve()
    if inside == outside or outside in inside.parents or inside in outside.parents:
        raise DatasetError(f"{root} and the source {source} lie in each other. Write to another folder.")
