"""A stretch of a video file: which frames it holds by presentation time, and exactly these frames decoded."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import UInt8

from vlm_qsft.data.video_pictures import OpenVideo
from vlm_qsft.errors import DatasetError

SAME_TIME_S = 1e-6
"""A packet and the frame decoded from it have one time stamp; this only absorbs the rounding of two divisions."""
DEPTH_FORMATS = ("gray9", "gray1")
"""How pixel formats begin that hold more than 8 bits of grey: depth maps. Ordinary grey video is plain "gray"."""


@dataclass(frozen=True)
class VideoFacts:
    """What a video file says of itself, without decoding.

    Attributes:
        codec: FFmpeg's name of the format, not of a decoder: "h264", "hevc", "av1", "mpeg4".
        size: (height, width) in pixels.
        pixel_format: FFmpeg's name: "yuv420p", "gray12le".
        rate: frames per second; None where the file does not say.
    """

    codec: str
    size: tuple[int, int]
    pixel_format: str
    rate: Fraction | None

    @property
    def is_depth(self) -> bool:
        """True where pixels are single numbers of more than 8 bits."""
        return self.pixel_format.startswith(DEPTH_FORMATS)


def video_facts(path: Path) -> VideoFacts:
    """Return what a video file says of itself.

    Raises:
        DatasetError: missing, or no readable video.
    """
    with _opened(path) as (_, stream):
        context = stream.codec_context
        return VideoFacts(
            codec=context.codec.canonical_name,
            size=(context.height, context.width),
            pixel_format=context.pix_fmt or "",
            rate=stream.average_rate,
        )


def presentation_times(path: Path, from_s: float | None = None, to_s: float | None = None) -> tuple[float, ...]:
    """Return the times at which frames are shown, ascending, read from the packets without decoding.

    Args:
        from_s, to_s: only times t with from_s <= t < to_s; None takes the beginning or the end of the file.
    Raises:
        DatasetError: no readable video, or a packet is cut off.
    """
    begin = -np.inf if from_s is None else from_s
    end = np.inf if to_s is None else to_s
    times: list[float] = []
    with _opened(path) as (container, stream):
        time_base = stream.time_base or Fraction(1, av.time_base)
        for packet in _packets_from(container, stream, time_base, begin):
            if packet.is_corrupt:
                break  # The file ends inside of this packet: the count of frames will say so.
            # Packets come in the order of decoding; no later one is shown before its own decoding time.
            if packet.dts is not None and float(packet.dts * time_base) >= end:
                break
            if packet.pts is not None and not packet.is_discard:
                times.append(float(packet.pts * time_base))
    return tuple(sorted(time for time in times if begin <= time < end))


@contextmanager
def _opened(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """Open a file for reading packets.

    Raises:
        DatasetError: missing, without pictures, of an unknown codec, or damaged while it is read.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise DatasetError(f"{path} holds no pictures that FFmpeg knows.")
            yield container, container.streams.video[0]
    except (FFmpegError, ValueError, OverflowError) as error:
        raise DatasetError(f"{path} is no readable video ({error}): it is missing, foreign or truncated.") from error


def _packets_from(
    container: InputContainer, stream: VideoStream, time_base: Fraction, time_s: float
) -> Iterator[Packet]:
    """Yield packets from a key frame that is shown at or before a time; none before it is shown after that time."""
    if time_s <= 0.0:
        yield from container.demux(stream)
        return
    back_s = 0.0
    while True:
        target_s = max(0.0, time_s - back_s)
        container.seek(int(target_s / time_base), stream=stream, backward=True)
        packets = container.demux(stream)
        first = next(packets, None)
        if first is None:
            return
        # FFmpeg seeks by decoding times: the key frame it finds may be shown later than asked for.
        if target_s == 0.0 or (first.pts is not None and float(first.pts * time_base) <= time_s):
            yield first
            yield from packets
            return
        back_s = 2.0 * back_s + 1.0


def stretch_times(path: Path, from_s: float, to_s: float, n_frames: int) -> tuple[float, ...]:
    """Return the presentation time of every frame of a stretch.

    A frame belongs to the stretch from half a period before `from_s` to half a period before `to_s`: written times are
    rounded.

    Raises:
        DatasetError: the stretch holds fewer or more frames than `n_frames`; names the first that is missing.
    """
    if n_frames < 1 or not from_s < to_s:
        raise DatasetError(f"{path}: a stretch from {from_s} s to {to_s} s with {n_frames} frames is none.")
    half_period = (to_s - from_s) / n_frames / 2.0
    times = presentation_times(path, from_s - half_period, to_s - half_period)
    if len(times) < n_frames:
        raise DatasetError(
            f"{path} has {len(times)} of {n_frames} frames between {from_s:.3f} s and {to_s:.3f} s: "
            f"frame {_first_missing(times, from_s, 2 * half_period)} is missing. The video is truncated or has a gap."
        )
    if len(times) > n_frames:
        raise DatasetError(
            f"{path} has {len(times)} frames between {from_s:.3f} s and {to_s:.3f} s; the episode has {n_frames} "
            "steps. Which of them belong to the steps cannot be known."
        )
    return times


def stretch_frames(
    path: Path, from_s: float, to_s: float, n_frames: int
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Yield the RGB frames of a stretch, exactly `n_frames` of them, in the order in which they are shown.

    Raises:
        DatasetError: another number of frames, a damaged one, or a depth map; names file and frame.
    """
    facts = video_facts(path)
    if facts.is_depth:
        raise DatasetError(
            f"{path} holds {facts.pixel_format}: a depth map and no colour pictures. Leave this camera out."
        )
    times = stretch_times(path, from_s, to_s, n_frames)
    video = OpenVideo(path)
    try:
        for number, time_s in enumerate(times):
            try:
                frame = video.frame_at(time_s, SAME_TIME_S)
            except DatasetError as error:
                raise DatasetError(f"Frame {number} of {n_frames} cannot be decoded: {error}") from error
            if frame.is_corrupt:
                raise DatasetError(f"{path} is damaged: frame {number} of {n_frames} at {time_s:.3f} s is not whole.")
            yield frame.to_ndarray(format="rgb24")
    finally:
        video.close()


def keeps_rate(times: Sequence[float], fps: Fraction) -> bool:
    """Tell whether frame i is shown within a quarter of a period of `times[0]` + i / fps.

    Only then can a file be copied as it is into a data set of this rate: readers find frames by that time.
    """
    first = times[0] if times else 0.0
    tolerance = 0.25 / float(fps)
    return all(abs(time - first - float(i / fps)) <= tolerance for i, time in enumerate(times))


def _first_missing(times: Sequence[float], from_s: float, period_s: float) -> int:
    """Return the number of the first frame that is not there: after a step of 1.5 periods, or past the last one."""
    if not times or times[0] - from_s > period_s / 2:
        return 0
    gaps = (number for number, (a, b) in enumerate(pairwise(times), start=1) if b - a > 1.5 * period_s)
    return next(gaps, len(times))
