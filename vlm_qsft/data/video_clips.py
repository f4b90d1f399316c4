"""Video files that are copied into a data set as they are: are the frames where they must be, and what are the facts.

LeRobot looks for the frame of row t at `from_timestamp + t / fps` and refuses one that is further off than its
tolerance; so does the check here, before anything is stored.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import Float64

from vlm_qsft.data.episode import VideoClip
from vlm_qsft.errors import DatasetError, ShapeMismatch

TOLERANCE_S = 1e-4
"""How far a frame may stand from its time: the default tolerance of LeRobotDataset."""


def frame_times_s(clip: VideoClip, length: int, fps: Fraction) -> Float64[np.ndarray, " frame"]:
    """Return the times at which readers will look for the frames: the stored timestamps are float32."""
    stamps = (np.arange(length) * float(1 / fps)).astype(np.float32)
    return clip.from_s + stamps.astype(np.float64)


def check_clip(clip: VideoClip, length: int, *, fps: Fraction, size: tuple[int, int]) -> None:
    """Refuse a clip whose frames are not where readers look for them. Nothing is decoded.

    Raises:
        DatasetError: the file is missing, damaged or truncated, or its frames stand at other times.
        ShapeMismatch: pictures of another size than declared.
    """
    with open_video(clip.path) as container:
        stream = container.streams.video[0]
        found = (stream.codec_context.height, stream.codec_context.width)
        if found != size:
            raise ShapeMismatch(f"{clip.path} shows {found[0]} x {found[1]} pixels; declared: {size[0]} x {size[1]}.")
        wanted = frame_times_s(clip, length, fps)
        stamps = packet_times_s(container, stream, clip.path, wanted[0], wanted[-1])
    if not len(stamps):
        raise DatasetError(f"{clip.path} has no frame at {wanted[0]:.4f} s: the video is truncated.")
    places = np.clip(np.searchsorted(stamps, wanted), 1, len(stamps) - 1) if len(stamps) > 1 else np.zeros(length, int)
    nearest = np.minimum(np.abs(stamps[places] - wanted), np.abs(stamps[np.maximum(places - 1, 0)] - wanted))
    bad = np.flatnonzero(nearest > TOLERANCE_S)
    if len(bad):
        raise DatasetError(
            f"{clip.path} has no frame at {wanted[bad[0]]:.4f} s, where frame {bad[0]} of {length} is expected at "
            f"{float(fps):g} frames per second ({len(bad)} such frames; the video holds {stamps[0]:.4f} s to "
            f"{stamps[-1]:.4f} s there): truncated, or of another rate."
        )


def packet_times_s(
    container: InputContainer, stream: VideoStream, path: Path, from_s: float, to_s: float
) -> Float64[np.ndarray, " frame"]:
    """Return the times of the frames between two times, ascending, from the packets alone.

    Raises:
        DatasetError: damaged.
    """
    time_base = stream.time_base or Fraction(1, av.time_base)
    stamps: list[float] = []
    try:
        container.seek(max(0, int((from_s - TOLERANCE_S) / time_base)), stream=stream, backward=True)
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise DatasetError(f"{path} is damaged near {from_s:.3f} s.")
            if packet.pts is None:
                continue
            stamps.append(float(packet.pts * time_base))
            # Packets come in the order of decoding; none of a later decoding time is shown earlier.
            if packet.dts is not None and float(packet.dts * time_base) > to_s + TOLERANCE_S:
                break
    except FFmpegError as error:
        raise DatasetError(f"{path} is damaged between {from_s:.3f} s and {to_s:.3f} s ({error}).") from error
    return np.unique(np.array(stamps, dtype=np.float64))


def video_facts(path: Path) -> dict[str, object]:
    """Return what meta/info.json says of a camera's videos, from the file itself: descriptions are often wrong.

    Raises:
        DatasetError: missing or damaged.
    """
    with open_video(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or Fraction(0)
        return {
            "video.height": stream.codec_context.height,
            "video.width": stream.codec_context.width,
            "video.codec": stream.codec_context.codec.canonical_name,
            "video.pix_fmt": stream.codec_context.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": int(rate) if rate.denominator == 1 else float(rate),
            "video.channels": 3,
            "has_audio": bool(container.streams.audio),
        }


def open_video(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        DatasetError: missing, or no video.
    """
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError) as error:
        raise DatasetError(f"{path} is no readable video ({error}).") from error
    if not container.streams.video:
        container.close()
        raise DatasetError(f"{path} holds no video stream.")
    return container
