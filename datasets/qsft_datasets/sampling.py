"""A few episodes of a source, for people and for proposals: numbers and texts whole, three pictures per camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

import numpy as np
from jaxtyping import UInt8

from qsft_datasets.dataset_conversion import ResampledSource
from qsft_datasets.source import Scalar, Source, SourceDescription, SourceEpisode, StepValues, VideoStretch
from vlm_qsft.data.video_stretch import stretch_frames
from vlm_qsft.errors import DatasetError, QsftError
from vlm_qsft.images import decode

SAMPLED_EPISODES = 6
PROVISIONAL_RATE = Fraction(10)
"""Steps per second at which a bag is looked at before anyone has chosen a rate."""
VIDEO_FRAMES = (0, 10, 20)
"""Which frames of a video are looked at: later ones would have to be decoded up to."""
Picture = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class EpisodeSample:
    """What is looked at of one episode.

    Attributes:
        numbers: feature -> (step, *shape).
        texts: feature -> one per step.
        pictures: feature -> up to three decoded pictures; absent where none can be decoded.
        episode: per-episode features.
    """

    key: str
    length: int
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pictures: Mapping[str, tuple[Picture, ...]] = field(default_factory=dict)
    episode: Mapping[str, Scalar | np.ndarray] = field(default_factory=dict)


def sample_episodes(source: Source, n_episodes: int = SAMPLED_EPISODES) -> list[EpisodeSample]:
    """Return episodes from all over the source, those left out that cannot be read; memory holds one whole episode.

    Raises:
        DatasetError: the list of episodes cannot be read, or none of those that were tried.
    """
    if isinstance(source, ResampledSource):
        source = source.at_rate(source.description.fps or PROVISIONAL_RATE)
    references = source.references()
    if not references:
        raise DatasetError(f"{source.root} has no episode.")
    places = np.unique(np.linspace(0, len(references) - 1, min(n_episodes, len(references))).astype(int))
    samples: list[EpisodeSample] = []
    failure: QsftError | None = None
    for place in places:
        try:
            samples.append(sample_of(source.read(references[place]), source.description))
        except DatasetError as error:
            failure = error
    if not samples and failure is not None:
        raise failure
    return samples


def sample_of(episode: SourceEpisode, description: SourceDescription) -> EpisodeSample:
    """Return what is looked at of an episode."""
    numbers: dict[str, np.ndarray] = {}
    texts: dict[str, tuple[str, ...]] = {}
    pictures: dict[str, tuple[Picture, ...]] = {}
    for feature in description.features:
        values = episode.steps.get(feature.path)
        if values is None:
            continue
        if feature.kind in ("image", "video"):
            shown = tuple(sample_pictures(values))
            if shown:
                pictures[feature.path] = shown
        elif feature.kind == "number" and isinstance(values, np.ndarray):
            numbers[feature.path] = values
        elif feature.kind == "text" and not isinstance(values, (np.ndarray, VideoStretch)):
            texts[feature.path] = tuple(
                value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values
            )
    return EpisodeSample(episode.key, episode.length, numbers, texts, pictures, dict(episode.episode))


def sample_pictures(values: StepValues) -> Iterator[Picture]:
    """Yield up to three pictures of a camera; nothing where they cannot be decoded."""
    try:
        if isinstance(values, VideoStretch):
            frames = stretch_frames(values.path, values.from_s, values.to_s, values.n_frames)
            for number, frame in enumerate(islice(frames, VIDEO_FRAMES[-1] + 1)):
                if number in VIDEO_FRAMES:
                    yield frame
            return
        for place in sorted({0, len(values) // 2, len(values) - 1} & set(range(len(values)))):
            value = values[place]
            picture = decode(value) if isinstance(value, bytes) else value
            if isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
                colours = picture if picture.ndim == 3 else picture[..., None]
                if colours.shape[-1] in (1, 3):
                    yield np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))
    except DatasetError:
        return
