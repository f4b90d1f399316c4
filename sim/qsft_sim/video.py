"""Films of episodes: H.264 in mp4, which every browser plays."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from qsft_sim.results import write_whole
from qsft_sim.trace import Trace
from vlm_qsft.errors import ShapeMismatch


def film_of(trace: Trace) -> UInt8[np.ndarray, "step height width 3"]:
    """Return the frames of an episode, cameras side by side."""
    return np.concatenate(np.moveaxis(trace.frames, 1, 0), axis=2)


def write_video(path: Path, frames: UInt8[np.ndarray, "step height width 3"], *, fps: int) -> None:
    """Write an mp4; odd sizes lose their last row or column, because H.264 halves the colour resolution.

    Raises:
        ShapeMismatch: not RGB frames.
        StorageError: disk full, or no permission.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or min(frames.shape[1:3]) < 2:
        raise ShapeMismatch(
            f"Frames of shape {frames.shape}, {frames.dtype}: expected (step, height, width, 3), uint8."
        )
    height, width = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "20", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    write_whole(path, content.getvalue())
