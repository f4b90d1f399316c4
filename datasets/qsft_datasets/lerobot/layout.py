"""Everything that meta/ says, held against the files that really exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from qsft_datasets.lerobot.dataset_info import DatasetInfo, Family, load_info
from qsft_datasets.lerobot.episode_list import ListedEpisode, family_on_disk, read_episodes
from qsft_datasets.lerobot.file_names import FileNames, FilesOnDisk
from qsft_datasets.lerobot.task_list import read_tasks
from vlm_qsft.errors import DatasetError

CAMERA_TYPES = ("image", "video")


@dataclass(frozen=True)
class Layout:
    """The metadata of a data set and the names of its files.

    Attributes:
        family: of the files that are there; the stated version may be another.
        episodes: as listed, in the order of their numbers.
        tasks: instruction of every index; None where there is no list.
        data_names: data file of every episode, relative to the root.
        video_names: camera -> video file of every episode, None where the metadata gives no place (v3).
        notes: where metadata and files disagree.
    """

    root: Path
    info: DatasetInfo
    family: Family
    episodes: tuple[ListedEpisode, ...]
    tasks: Mapping[int, str] | None
    data_names: tuple[str, ...]
    video_names: Mapping[str, tuple[str | None, ...]]
    files: FilesOnDisk
    notes: tuple[str, ...]

    def first_existing(self, names: Iterable[str | None], count: int) -> tuple[str, ...]:
        """Return the first few different names of files that exist."""
        existing = (name for name in names if name is not None and self.files.has(name))
        return tuple(islice(dict.fromkeys(existing), count))

    def missing_files(self, cameras: Collection[str] | None = None) -> tuple[str, ...]:
        """Return every data file, and every video file of a camera that has some, that does not exist.

        Args:
            cameras: whose videos count; None counts all.
        """
        counted = [names for key, names in self.video_names.items() if cameras is None or key in cameras]
        videos = [name for names in counted for name in names if name is not None]
        names = dict.fromkeys([*self.data_names, *videos])
        return tuple(name for name in names if not self.files.has(name))


def load_layout(root: Path) -> Layout:
    """Read meta/ and look which files exist.

    Raises:
        DatasetError: metadata missing, damaged or contradicting itself, or no data file at all.
    """
    info = load_info(root)
    cameras = [key for key, feature in info.features.items() if feature.dtype in CAMERA_TYPES]
    family = family_on_disk(root, info.stated_family)
    episodes = read_episodes(root, family=family, cameras=cameras)
    files = FilesOnDisk(root)
    notes = [*info.notes, *_count_notes(info, episodes)]
    if family != info.stated_family:
        notes.append(f"meta/info.json states {info.version}; the episodes are listed as in {family}, and read so.")
    names = FileNames(info, family, episodes, files, notes)
    data_names = _data_names(root, names)
    video_names: dict[str, tuple[str | None, ...]] = {}
    for camera in cameras:
        found = names.of_videos(camera)
        if any(name is not None and files.has(name) for name in found):
            video_names[camera] = found
    layout = Layout(root, info, family, episodes, read_tasks(root), data_names, video_names, files, tuple(notes))
    missing = layout.missing_files()
    if missing:
        notes.append(
            f"{len(missing)} files are missing: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}."
        )
    return replace(layout, notes=tuple(notes))


def _data_names(root: Path, names: FileNames) -> tuple[str, ...]:
    found = names.of_data()
    if not any(names.files.has(name) for name in found):
        standard = names.usual_data_name()
        also = "" if standard == found[0] else f", and neither is {standard}, the usual name"
        raise DatasetError(
            f"{root / found[0]} is missing: the metadata names {len(set(found))} data files and none of them exists"
            f"{also}. Without them there are no states and no actions: the copy or the data set is incomplete."
        )
    return found


def _count_notes(info: DatasetInfo, episodes: tuple[ListedEpisode, ...]) -> list[str]:
    counted = {"total_episodes": len(episodes), "total_frames": sum(episode.length for episode in episodes)}
    notes = [
        f"meta/info.json says {name} {info.totals[name]}; the list of episodes has {number}."
        for name, number in counted.items()
        if name in info.totals and info.totals[name] != number
    ]
    last = episodes[-1].index
    notes += [
        f"meta/info.json: split '{name}' ends at episode {end}; the last one listed is {last}."
        for name, (_, end) in info.splits.items()
        if end > last + 1
    ]
    return notes
