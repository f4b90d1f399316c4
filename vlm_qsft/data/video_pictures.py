"""Pictures out of video files: frames by time, decoded forward from the nearest key frame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

from vlm_qsft.errors import DatasetError

OPEN_VIDEOS = 8
"""Videos kept open at once: two cameras of a few files, without running out of file handles or decoder memory."""
FORWARD_S = 2.0
"""A target this little ahead of the last decoded frame is reached by decoding on instead of seeking."""


class VideoPictures:
    """Frames of any number of video files, a few of them kept open."""

    def __init__(self, fps: Fraction) -> None:
        """Begin with no open file.

        Args:
            fps: frames per second; a frame belongs to a time that is less than half a period away.
        """
        self._half_period_s = float(1 / fps) / 2.0
        self._open: OrderedDict[Path, OpenVideo] = OrderedDict()

    def frames(self, path: Path, times_s: Sequence[float]) -> list[UInt8[np.ndarray, "height width 3"]]:
        """Return the RGB frames at ascending times.

        Raises:
            DatasetError: the video is damaged, ends before a time, or has no frame there.
        """
        if path in self._open:
            self._open.move_to_end(path)
        else:
            self._open[path] = OpenVideo(path)
            if len(self._open) > OPEN_VIDEOS:
                self._open.popitem(last=False)[1].close()
        video = self._open[path]
        return [video.frame_at(time_s, self._half_period_s).to_ndarray(format="rgb24") for time_s in times_s]


class OpenVideo:
    """One open video and the last frame that was decoded from it."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            DatasetError: missing, or no video.
        """
        self._path = path
        try:
            self._container: InputContainer = av.open(str(path))
            self._stream: VideoStream = self._container.streams.video[0]
        except (FFmpegError, IndexError, ValueError) as error:
            raise DatasetError(f"{path} is no readable video ({error}).") from error
        if self._stream.codec_context is None:
            raise DatasetError(f"{path} holds pictures of a codec that FFmpeg does not know.")
        # Decoder threads decode ahead of a single wanted frame; processes are the parallelism here.
        self._stream.codec_context.thread_count = 1
        self._frames: Iterator[VideoFrame] | None = None
        self._last: VideoFrame | None = None

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def frame_at(self, time_s: float, half_period_s: float) -> VideoFrame:
        """Return the frame shown at a time.

        Raises:
            DatasetError: damaged, too short, or a gap.
        """
        try:
            frame = self._last
            if frame is None or not -half_period_s <= time_s - seconds(frame) < FORWARD_S:
                frame = self._first_before(time_s + half_period_s)
            while seconds(frame) < time_s - half_period_s:
                frame = self._next(time_s)
        except FFmpegError as error:
            raise DatasetError(f"{self._path} is damaged near {time_s:.3f} s ({error}).") from error
        if seconds(frame) > time_s + half_period_s:
            raise DatasetError(
                f"{self._path} has no frame at {time_s:.3f} s: the next one is at {seconds(frame):.3f} s."
            )
        return frame

    def _first_before(self, time_s: float) -> VideoFrame:
        """Decode the first frame of a stretch that begins at or before a time.

        FFmpeg seeks by decoding times: where frames refer to later ones, the key frame it finds may be shown too late.
        """
        back_s = 0.0
        while True:
            self._seek(time_s - back_s)
            frame = self._next(time_s)
            if seconds(frame) <= time_s or back_s > time_s:
                return frame
            back_s = 2.0 * back_s + 1.0

    def _seek(self, time_s: float) -> None:
        time_base = self._stream.time_base or Fraction(1, av.time_base)
        self._container.seek(max(0, int(time_s / time_base)), stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)

    def _next(self, time_s: float) -> VideoFrame:
        frame = next(self._frames, None) if self._frames is not None else None
        if frame is None:
            self._last = None
            raise DatasetError(
                f"{self._path} ends before {time_s:.3f} s: the video is truncated. Copy the data set again."
            )
        self._last = frame
        return frame


def seconds(frame: VideoFrame) -> float:
    """Return the time of a frame; a frame without one stands at 0."""
    return float(frame.time or 0.0)
