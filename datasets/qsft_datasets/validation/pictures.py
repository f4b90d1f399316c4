"""Sampled pictures: a few frames of a few episodes of every camera, decoded once for all that looks at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.episode_table import read_video_place
from vlm_qsft.data.parquet_pictures import ParquetPictures
from vlm_qsft.data.video_pictures import VideoPictures
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import decode

SAMPLED_EPISODES = 24
SAMPLED_FRAMES = 4
PICTURE_CACHE_BYTES = 64 * 1024**2
Reader = Callable[[int, int, int], np.ndarray]
"""(episode, frame in it, row) -> picture."""


@dataclass(frozen=True)
class SampledEpisode:
    """Some frames of one camera in one episode.

    Attributes:
        episode: its number.
        frames: which frames, from its start.
        pictures: RGB, as stored.
    """

    episode: int
    frames: tuple[int, ...]
    pictures: tuple[np.ndarray, ...]


@dataclass
class CameraSample:
    """What was seen of one camera.

    Attributes:
        problems: (episode, frame, what) of pictures that cannot be read.
    """

    key: str
    episodes: list[SampledEpisode] = field(default_factory=list)
    problems: list[tuple[int, int, str]] = field(default_factory=list)


def sample_cameras(subject: Subject) -> list[CameraSample]:
    """Return sampled frames of every camera: the first, the last, and some between, of evenly spaced episodes.

    Raises:
        DatasetError: the data files cannot be read at all.
    """
    layout = subject.layout
    stretches = np.unique(np.linspace(0, len(layout.numbers) - 1, SAMPLED_EPISODES).round().astype(int))
    samples = []
    for key in subject.cameras:
        sample = CameraSample(key)
        samples.append(sample)
        try:
            read = picture_reader(subject, key)
        except DatasetError as problem:
            sample.problems.append((int(layout.numbers[0]), 0, str(problem)))
            continue
        for stretch in stretches:
            episode, start, length = (int(part[stretch]) for part in (layout.numbers, layout.starts, layout.lengths))
            frames = np.unique(np.linspace(0, length - 1, SAMPLED_FRAMES).round().astype(int)).tolist()
            pictures = []
            for frame in frames:
                try:
                    pictures.append(read(episode, frame, start + frame))
                except DatasetError as problem:
                    sample.problems.append((episode, frame, str(problem)))
                    break
            sample.episodes.append(SampledEpisode(episode, tuple(frames[: len(pictures)]), tuple(pictures)))
    return samples


def picture_reader(subject: Subject, key: str) -> Reader:
    """Return a function that reads a picture of a camera.

    Raises:
        DatasetError: nothing can be read: files are missing or the episode table does not say where videos lie.
    """
    if subject.features[key]["dtype"] == "image":
        stored = ParquetPictures(tuple(subject.data_files), tuple(subject.rows_of_files), max_bytes=PICTURE_CACHE_BYTES)
        return lambda episode, frame, row: decode(stored.encoded(row, key))
    place = read_video_place(subject.root, str(subject.info.get("video_path")), subject.table, key)
    videos, stamps = VideoPictures(subject.fps), subject.scalar("timestamp")
    return lambda episode, frame, row: videos.frames(
        place.files[episode], [place.from_s[episode] + float(stamps[row])]
    )[0]
