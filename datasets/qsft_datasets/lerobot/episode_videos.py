"""The stretch of video that belongs to an episode, found by its frames and not by what the metadata says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from qsft_datasets.lerobot.episode_list import VideoAddress
from qsft_datasets.source import VideoStretch
from vlm_qsft.data.video_stretch import presentation_times, stretch_times, video_facts
from vlm_qsft.errors import DatasetError


def whole_file(path: Path, n_frames: int, fps: Fraction | None) -> tuple[VideoStretch, tuple[str, ...]]:
    """Return the stretch of an episode that has a video file of its own (v2), and what is odd about it.

    As many frames as steps: they belong together in order, whatever the times say. More frames: those at the times of
    the steps, which is what LeRobot shows.

    Raises:
        DatasetError: fewer frames than steps, or other times; names the file and the first missing frame.
    """
    times = presentation_times(path)
    if not times or len(times) < n_frames:
        raise DatasetError(
            f"{path} has {len(times)} frames; the episode has {n_frames} steps: frame {len(times)} is missing. "
            "The video is truncated or was cut."
        )
    if len(times) == n_frames:
        period_s = (times[-1] - times[0]) / (n_frames - 1) if n_frames > 1 else float(1 / (fps or Fraction(1)))
        return VideoStretch(path, times[0], times[-1] + period_s, n_frames), ()
    if fps is None:
        raise DatasetError(f"{path} has {len(times)} frames for {n_frames} steps, and no fps is stated.")
    end_s = times[0] + n_frames * float(1 / fps)
    stretch_times(path, times[0], end_s, n_frames)
    note = f"{path.name}: {len(times)} frames for {n_frames} steps; the last {len(times) - n_frames} belong to no step."
    return VideoStretch(path, times[0], end_s, n_frames), (note,)


def part_of_file(path: Path, address: VideoAddress, n_frames: int, fps: Fraction | None) -> VideoStretch:
    """Return the stretch of an episode in a file of several (v3).

    Raises:
        DatasetError: no or impossible times, or another number of frames there; names the file.
    """
    from_s, to_s = address.from_s, address.to_s
    if from_s is None:
        raise DatasetError(f"The list of episodes does not say where the episode begins in {path}.")
    if to_s is None or not to_s > from_s:
        if fps is None:
            raise DatasetError(f"The list of episodes does not say where the episode ends in {path}.")
        to_s = from_s + n_frames * float(1 / fps)
    times = stretch_times(path, from_s, to_s, n_frames)
    period_s = (times[-1] - times[0]) / (n_frames - 1) if n_frames > 1 else to_s - from_s
    return VideoStretch(path, times[0], times[-1] + period_s, n_frames)


def check_size(path: Path, shape: tuple[int | None, ...]) -> None:
    """Refuse a file whose pictures have another size than those of the first file.

    Raises:
        DatasetError: names the file and both sizes.
    """
    size = video_facts(path).size
    if None not in shape[:2] and size != shape[:2]:
        raise DatasetError(f"{path} shows {size[0]} x {size[1]} pixels; the first file {shape[0]} x {shape[1]}.")
