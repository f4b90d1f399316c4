"""Cameras: pictures that are missing, of another size, black, all of one colour, frozen, or shown under two names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.validation.finding import NAMED_EPISODES, Fact, Result, at_episodes, error, warning
from qsft_datasets.validation.pictures import SAMPLED_FRAMES, CameraSample, SampledEpisode
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.features import is_depth, picture_size
from vlm_qsft.data.schema import ACTION_KEY, IMAGE_PREFIX

BLACK = 16
"""Largest channel value of a black picture: what JPEG and video leave of 0, and the black of studio range."""
UNIFORM = 2.0
"""Standard deviation below which a picture shows nothing."""


def check_cameras(subject: Subject) -> Iterator[Result]:
    """Look at sampled pictures of every camera."""
    if not subject.cameras:
        yield warning("The data set has no camera.", "A vision-language-action model needs pictures.")
        return
    for sample in subject.samples:
        if is_depth(subject.features[sample.key]):
            continue
        yield from unreadable(sample)
        yield from wrong_size(subject, sample)
        yield from dark(sample)
        yield from frozen(subject, sample)
    yield from doubled(subject)
    yield looked_at(subject)


def looked_at(subject: Subject) -> Fact:
    """Say how much of the pictures was seen: what is wrong elsewhere is not found."""
    seen = {episode.episode for sample in subject.samples for episode in sample.episodes}
    n_pictures = sum(len(episode.pictures) for sample in subject.samples for episode in sample.episodes)
    total = len(subject.samples) * int(np.sum(subject.layout.lengths))
    return Fact(
        "pictures looked at",
        f"{n_pictures} of {total}: up to {SAMPLED_FRAMES} frames of {len(seen)} of {len(subject.layout.numbers)} "
        "episodes, every camera",
    )


def unreadable(sample: CameraSample) -> Iterator[Result]:
    """Report pictures that cannot be read."""
    if sample.problems:
        episode, frame, what = sample.problems[0]
        yield error(
            f"Camera '{name(sample)}': {what}",
            "Convert these episodes again, or leave the camera out of the mapping.",
            episode=episode,
            frame=frame,
            episodes=tuple(sorted({problem[0] for problem in sample.problems})[:NAMED_EPISODES]),
            count=len(sample.problems),
        )


def wrong_size(subject: Subject, sample: CameraSample) -> Iterator[Result]:
    """Report pictures of another size than declared."""
    declared = picture_size(subject.features[sample.key])
    for episode in sample.episodes:
        for frame, picture in zip(episode.frames, episode.pictures, strict=True):
            if picture.shape[:2] != declared:
                yield error(
                    f"Camera '{name(sample)}' has a picture of {picture.shape[0]} x {picture.shape[1]}; meta/info.json "
                    f"declares {declared[0]} x {declared[1]} (height x width).",
                    "Correct the size in meta/info.json, or convert the data set again.",
                    episode=episode.episode,
                    frame=frame,
                )
                return


def dark(sample: CameraSample) -> Iterator[Result]:
    """Report cameras that show nothing."""
    seen = [episode for episode in sample.episodes if episode.pictures]
    for what, shows_nothing in (("black", is_black), ("of one colour", is_uniform)):
        bad = [episode.episode for episode in seen if all(shows_nothing(picture) for picture in episode.pictures)]
        if not bad:
            continue
        everywhere = len(bad) == len(seen)
        level = error if everywhere else warning
        yield level(
            f"Camera '{name(sample)}' is {what} in {len(bad)} of {len(seen)} sampled episodes.",
            "Leave the camera out of the mapping." if everywhere else "Look at these episodes; leave them out if so.",
            **at_episodes(bad),
        )
        return


def frozen(subject: Subject, sample: CameraSample) -> Iterator[Result]:
    """Report cameras whose picture stays the same while the robot is told to move."""
    bad, seen = [], []
    for episode in sample.episodes:
        if len(episode.pictures) < 3 or all(is_uniform(picture) for picture in episode.pictures):
            continue
        if not moves(subject, episode):
            continue
        seen.append(episode.episode)
        if all(np.array_equal(picture, episode.pictures[0]) for picture in episode.pictures[1:]):
            bad.append(episode.episode)
    if bad:
        everywhere = len(bad) == len(seen)
        level = error if everywhere else warning
        yield level(
            f"Camera '{name(sample)}' is frozen in {len(bad)} of {len(seen)} sampled episodes: "
            "the same picture from the first frame to the last while the actions change.",
            "Leave the camera out of the mapping." if everywhere else "Look at these episodes; leave them out if so.",
            **at_episodes(bad),
        )


def doubled(subject: Subject) -> Iterator[Result]:
    """Report two cameras that show the same."""
    samples = [sample for sample in subject.samples if sample.episodes]
    for place, first in enumerate(samples):
        for second in samples[place + 1 :]:
            pairs = [
                (one, other)
                for a, b in zip(first.episodes, second.episodes, strict=False)
                for one, other in zip(a.pictures, b.pictures, strict=False)
            ]
            if pairs and all(np.array_equal(one, other) and not is_uniform(one) for one, other in pairs):
                yield warning(
                    f"Cameras '{name(first)}' and '{name(second)}' show the same pictures.",
                    "Leave one of them out: the mapping may name one source feature twice.",
                )


def moves(subject: Subject, episode: SampledEpisode) -> bool:
    """Tell whether the actions of an episode change."""
    if not subject.has(ACTION_KEY):
        return True
    layout = subject.layout
    stretch = int(np.flatnonzero(layout.numbers == episode.episode)[0])
    rows = slice(int(layout.starts[stretch]), int(layout.starts[stretch] + layout.lengths[stretch]))
    return bool(np.ptp(subject.column(ACTION_KEY)[rows], axis=0).any())


def is_black(picture: np.ndarray) -> bool:
    """Tell whether a picture shows nothing but black."""
    return int(picture.max()) <= BLACK


def is_uniform(picture: np.ndarray) -> bool:
    """Tell whether a picture has one colour."""
    return float(picture.std(axis=(0, 1)).max()) < UNIFORM


def name(sample: CameraSample) -> str:
    """Return the name of a camera."""
    return sample.key.removeprefix(IMAGE_PREFIX)
