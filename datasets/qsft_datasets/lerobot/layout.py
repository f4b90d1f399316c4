"""Everything that meta/ says, held against the files that really exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from qsft_datasets.lerobot.dataset_info import USUAL_DATA_PATH, USUAL_VIDEO_PATH, DatasetInfo, load_info
from qsft_datasets.lerobot.episode_list import ListedEpisode, read_episodes
from qsft_datasets.lerobot.file_names import FilesOnDisk, fill
from qsft_datasets.lerobot.task_list import read_tasks
from vlm_qsft.errors import DatasetError

CAMERA_TYPES = ("image", "video")


@dataclass(frozen=True)
class Layout:
    """The metadata of a data set and the names of its files.

    Attributes:
        episodes: as listed, in the order of their numbers.
        tasks: instruction of every index; None where there is no list.
        data_names: data file of every episode, relative to the root.
        video_names: camera -> video file of every episode, None where the metadata gives no place (v3).
        notes: where metadata and files disagree.
    """

    root: Path
    info: DatasetInfo
    episodes: tuple[ListedEpisode, ...]
    tasks: Mapping[int, str] | None
    data_names: tuple[str, ...]
    video_names: Mapping[str, tuple[str | None, ...]]
    files: FilesOnDisk
    notes: tuple[str, ...]

    def first_with_data(self) -> int:
        """Return the position of the first episode whose data file exists; there is always one."""
        return next(number for number, name in enumerate(self.data_names) if self.files.has(name))

    def missing_files(self) -> tuple[str, ...]:
        """Return every data file, and every video file of a camera that has some, that does not exist."""
        videos = [name for names in self.video_names.values() for name in names if name is not None]
        names = dict.fromkeys([*self.data_names, *videos])
        return tuple(name for name in names if not self.files.has(name))


def load_layout(root: Path) -> Layout:
    """Read meta/ and look which files exist.

    Raises:
        DatasetError: metadata missing, damaged or contradicting itself, or no data file at all.
    """
    info = load_info(root)
    cameras = [key for key, feature in info.features.items() if feature.dtype in CAMERA_TYPES]
    episodes = read_episodes(root, family=info.family, cameras=cameras)
    files = FilesOnDisk(root)
    notes = [*info.notes, *_count_notes(info, episodes)]
    data_names = _data_names(root, info, episodes, files, notes)
    video_names: dict[str, tuple[str | None, ...]] = {}
    for camera in cameras:
        names = _video_names(info, episodes, camera, files, notes)
        if any(name is not None and files.has(name) for name in names):
            video_names[camera] = names
    layout = Layout(root, info, episodes, read_tasks(root), data_names, video_names, files, tuple(notes))
    missing = layout.missing_files()
    if missing:
        notes.append(
            f"{len(missing)} files are missing: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}."
        )
    return replace(layout, notes=tuple(notes))


def _data_names(
    root: Path, info: DatasetInfo, episodes: tuple[ListedEpisode, ...], files: FilesOnDisk, notes: list[str]
) -> tuple[str, ...]:
    usual = USUAL_DATA_PATH[info.family]

    def names_of(template: str) -> tuple[str, ...]:
        return tuple(fill(template, _places(info, e, chunk=e.chunk, file=e.file)) for e in episodes)

    names = _best_names(info.data_path, usual, names_of, files, notes)
    if not any(files.has(name) for name in names):
        standard = names_of(usual)[0]
        also = "" if standard == names[0] else f", and neither is {standard}, the usual name"
        raise DatasetError(
            f"{root / names[0]} is missing: the metadata names {len(set(names))} data files and none of them exists"
            f"{also}. Without them there are no states and no actions: the copy or the data set is incomplete."
        )
    return names


def _video_names(
    info: DatasetInfo, episodes: tuple[ListedEpisode, ...], camera: str, files: FilesOnDisk, notes: list[str]
) -> tuple[str | None, ...]:
    def name_of(template: str, episode: ListedEpisode) -> str | None:
        if info.family == "v2":
            return fill(template, {**_places(info, episode, chunk=0, file=0), "video_key": camera})
        place = episode.videos.get(camera)
        if place is None:
            return None
        return fill(template, {**_places(info, episode, chunk=place.chunk, file=place.file), "video_key": camera})

    def names_of(template: str) -> tuple[str | None, ...]:
        return tuple(name_of(template, episode) for episode in episodes)

    return _best_names(info.video_path, USUAL_VIDEO_PATH[info.family], names_of, files, notes)


def _places(info: DatasetInfo, episode: ListedEpisode, *, chunk: int, file: int) -> dict[str, int | str]:
    in_folder = episode.index // info.chunk_size
    numbers: dict[str, int | str] = {"episode_index": episode.index, "episode_chunk": in_folder}
    return numbers | ({"chunk_index": chunk, "file_index": file} if info.family == "v3" else {"chunk_index": in_folder})


def _best_names[Name: str | None](
    written: str | None,
    usual: str,
    names_of: Callable[[str], tuple[Name, ...]],
    files: FilesOnDisk,
    notes: list[str],
) -> tuple[Name, ...]:
    """Return the names by the written template, or by the usual one where that finds more files."""

    def found(names: Iterable[str | None]) -> int:
        return files.count(name for name in names if name is not None)

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
        f"meta/info.json names files as '{written}', which finds {n_found} of {len(names)}; the usual '{usual}' finds "
        f"{n_standard} and is taken."
    )
    if note not in notes:
        notes.append(note)
    return standard


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
