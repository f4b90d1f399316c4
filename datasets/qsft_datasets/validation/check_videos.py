"""Videos: codec, size and rate are those of the metadata, and every file is as long as its episodes need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from qsft_datasets.validation.finding import Finding, Result, at_episodes, error
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.features import picture_size
from vlm_qsft.data.video_pictures import VideoPictures
from vlm_qsft.errors import DatasetError

OPENED_FILES = 64
"""Files per camera whose header is read, evenly spaced."""
SAME_CODEC = {
    "libx264": "h264", "avc1": "h264", "avc": "h264", "h264_nvenc": "h264", "libx265": "hevc", "h265": "hevc",
    "hevc_nvenc": "hevc", "libsvtav1": "av1", "libaom-av1": "av1", "libdav1d": "av1", "mp4v": "mpeg4",
}  # fmt: skip
"""Encoders and container codes -> the name of the codec."""


def check_videos(subject: Subject) -> Iterator[Result]:
    """Read the headers of video files, and the last frame that an episode needs."""
    template = str(subject.info.get("video_path"))
    for key, feature in subject.cameras.items():
        if feature["dtype"] != "video":
            continue
        places = video_places(subject, key)
        if places is None:
            yield error(
                f"The episode table does not say where the videos of '{key}' lie.", "Convert the data set again."
            )
            continue
        try:
            files = {place: subject.root / template.format(video_key=key, chunk_index=place[0], file_index=place[1])
                     for place in places}  # fmt: skip
        except (KeyError, ValueError, IndexError):
            yield error(
                f"meta/info.json names videos as '{template}'; format v3.0 has video_key, chunk_index and file_index.",
                "Convert the data set again: this one only claims to be v3.0.",
            )
            continue
        for place, path in files.items():
            if not path.exists():
                yield error(
                    f"{path.relative_to(subject.root)} is missing.",
                    "Copy the data set again.",
                    **at_episodes(places[place]),
                )
        existing = [(path, places[place]) for place, path in files.items() if path.exists()]
        step = max(1, len(existing) // OPENED_FILES)
        found: set[str] = set()
        for path, episodes in existing[::step]:
            for finding in check_file(subject, key, path, episodes):
                kind = finding.message.split(":")[0]
                if kind not in found:  # once per camera and kind
                    found.add(kind)
                    yield finding


def check_file(subject: Subject, key: str, path: Path, episodes: list[int]) -> Iterator[Finding]:
    """Compare one video file with the metadata."""
    place = path.relative_to(subject.root)
    stated = stated_of(subject.features[key])
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            codec, size = stream.codec_context.name, (stream.codec_context.height, stream.codec_context.width)
            rate, base = stream.average_rate, stream.time_base
            length_s = float(stream.duration * base) if stream.duration and base else None
    except (FFmpegError, IndexError, OSError) as problem:
        yield error(
            f"Unreadable video: {place} ({problem}).", "Copy this file again; it is cut off or damaged.",
            **at_episodes(episodes),
        )  # fmt: skip
        return
    codec = SAME_CODEC.get(codec, codec)
    claimed = stated.get("codec")
    if claimed and SAME_CODEC.get(str(claimed), str(claimed)) != codec:
        yield error(
            f"Another codec: {place} is {codec}; meta/info.json says {claimed} for '{key}'.",
            "Correct video.codec in meta/info.json.",
            **at_episodes(episodes),
        )
    declared = picture_size(subject.features[key])
    if size != declared:
        yield error(
            f"Another size: {place} is {size[0]} x {size[1]} (height x width); meta/info.json declares "
            f"{declared[0]} x {declared[1]}.",
            "Correct the shape in meta/info.json.",
            **at_episodes(episodes),
        )
    if rate and abs(float(rate) - float(subject.fps)) > 0.005 * float(subject.fps):
        yield error(
            f"Another rate: {place} has {float(rate):g} frames per second; the data set states {float(subject.fps):g}.",
            "Frames are found by time: correct fps, or encode the video again.",
            **at_episodes(episodes),
        )
    ends = subject.entries(f"videos/{key}/to_timestamp")
    needed = max(ends[episode] for episode in episodes) if ends else None
    if needed is None:
        return
    if length_s is not None and length_s < needed - 1.5 / float(subject.fps):
        yield error(
            f"Too short: {place} lasts {length_s:.2f} s; its episodes need {needed:.2f} s.",
            "Copy this file again, or leave these episodes out.",
            **at_episodes([episode for episode in episodes if ends and ends[episode] > length_s]),
        )
        return
    try:
        VideoPictures(subject.fps).frames(path, [needed - float(1 / subject.fps)])
    except DatasetError as problem:
        yield error(
            f"Unreadable video: {problem}",
            "Copy this file again; it is cut off or damaged.",
            **at_episodes([max(episodes)]),
        )


def video_places(subject: Subject, key: str) -> dict[tuple[int, int], list[int]] | None:
    """Return (chunk, file) -> episodes whose frames lie there; None where the episode table does not say."""
    chunks, files = (subject.entries(f"videos/{key}/{part}_index") for part in ("chunk", "file"))
    if chunks is None or files is None:
        return None
    places: dict[tuple[int, int], list[int]] = {}
    for episode, place in enumerate(zip(chunks, files, strict=True)):
        places.setdefault(place, []).append(episode)
    return places


def stated_of(feature: dict[str, Any]) -> dict[str, Any]:
    """Return what the metadata says of a video, without the prefix of its keys."""
    note = feature.get("info") or feature.get("video_info") or {}
    return {str(name).removeprefix("video."): value for name, value in note.items()}
