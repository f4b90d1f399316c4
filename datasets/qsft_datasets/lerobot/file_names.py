"""Names of data and video files: templates of meta/info.json, and what really stands on the disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qsft_datasets.lerobot.dataset_info import DatasetInfo, Family
from qsft_datasets.lerobot.episode_list import ListedEpisode
from vlm_qsft.errors import DatasetError

USUAL_DATA_PATH: Mapping[Family, str] = {
    "v2": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
    "v3": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
}
USUAL_VIDEO_PATH: Mapping[Family, str] = {
    "v2": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    "v3": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}
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


@dataclass(frozen=True)
class FileNames:
    """The names of a data set's files by its templates; a usual template wins where it finds more files.

    Attributes:
        notes: takes a line where that happens.
    """

    info: DatasetInfo
    family: Family
    episodes: tuple[ListedEpisode, ...]
    files: FilesOnDisk
    notes: list[str]

    def of_data(self) -> tuple[str, ...]:
        """Return the data file of every episode, relative to the root.

        Raises:
            DatasetError: a template that is none.
        """
        return self._best(self.info.data_path, USUAL_DATA_PATH[self.family], self._data_names)

    def of_videos(self, camera: str) -> tuple[str | None, ...]:
        """Return the video file of every episode; None where the list of episodes gives no place (v3).

        Raises:
            DatasetError: a template that is none.
        """

        def names_of(template: str) -> tuple[str | None, ...]:
            return tuple(self._video_name(template, episode, camera) for episode in self.episodes)

        return self._best(self.info.video_path, USUAL_VIDEO_PATH[self.family], names_of)

    def usual_data_name(self) -> str:
        """Return where the first data file usually lies."""
        return self._data_names(USUAL_DATA_PATH[self.family])[0]

    def _data_names(self, template: str) -> tuple[str, ...]:
        return tuple(fill(template, self._places(e, chunk=e.chunk, file=e.file)) for e in self.episodes)

    def _video_name(self, template: str, episode: ListedEpisode, camera: str) -> str | None:
        if self.family == "v2":
            return fill(template, {**self._places(episode, chunk=0, file=0), "video_key": camera})
        place = episode.videos.get(camera)
        if place is None:
            return None
        return fill(template, {**self._places(episode, chunk=place.chunk, file=place.file), "video_key": camera})

    def _places(self, episode: ListedEpisode, *, chunk: int, file: int) -> dict[str, int | str]:
        folder = episode.index // self.info.chunk_size
        places: dict[str, int | str] = {"episode_index": episode.index, "episode_chunk": folder}
        return places | ({"chunk_index": chunk, "file_index": file} if self.family == "v3" else {"chunk_index": folder})

    def _best[Name: str | None](
        self, written: str | None, usual: str, names_of: Callable[[str], tuple[Name, ...]]
    ) -> tuple[Name, ...]:
        def found(names: Iterable[str | None]) -> int:
            return self.files.count(name for name in names if name is not None)

        if written is None or written == usual:
            return names_of(usual)
        names = names_of(written)
        n_found = found(names)
        if n_found == len(names):
            return names
        standard = names_of(usual)
        n_standard = found(standard)
        if n_standard <= n_found:
            return names
        note = (
            f"meta/info.json names files as '{written}', which finds {n_found} of {len(names)}; the usual '{usual}' "
            f"finds {n_standard} and is taken."
        )
        if note not in self.notes:
            self.notes.append(note)
        return standard
