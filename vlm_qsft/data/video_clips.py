"""Video files that are copied into a data set as they are: are the frames where readers will look for them?

LeRobot looks for the frame of row t at `from_timestamp + t / fps` and refuses one that is further off than its
tolerance; so does the check here, before anything is stored.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from vlm_qsft.data.episode import VideoClip
from vlm_qsft.data.video_stretch import presentation_times, video_facts
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
    height, width = video_facts(clip.path).size
    if (height, width) != size:
        raise ShapeMismatch(f"{clip.path} shows {height} x {width} pixels; declared: {size[0]} x {size[1]}.")
    wanted = frame_times_s(clip, length, fps)
    stamps = np.array(presentation_times(clip.path, wanted[0] - TOLERANCE_S, wanted[-1] + 2 * TOLERANCE_S))
    if not len(stamps):
        raise DatasetError(f"{clip.path} has no frame between {wanted[0]:.4f} s and {wanted[-1]:.4f} s: truncated?")
    after = np.minimum(np.searchsorted(stamps, wanted), len(stamps) - 1)
    nearest = np.minimum(np.abs(stamps[after] - wanted), np.abs(stamps[np.maximum(after - 1, 0)] - wanted))
    bad = np.flatnonzero(nearest > TOLERANCE_S)
    if len(bad):
        raise DatasetError(
            f"{clip.path} has no frame at {wanted[bad[0]]:.4f} s, where frame {bad[0]} of {length} is expected at "
            f"{float(fps):g} frames per second ({len(bad)} such frames; the last one there is at {stamps[-1]:.4f} s): "
            "truncated, or of another rate. If the file is whole, store its pictures instead of copying it."
        )


def video_note(path: Path) -> dict[str, object]:
    """Return what meta/info.json says of a camera's videos, from the file itself: descriptions are often wrong.

    Raises:
        DatasetError: missing or damaged.
    """
    facts = video_facts(path)
    rate = facts.rate or Fraction(0)
    return {
        "video.height": facts.size[0],
        "video.width": facts.size[1],
        "video.codec": facts.codec,
        "video.pix_fmt": facts.pixel_format,
        "video.is_depth_map": False,
        "video.fps": int(rate) if rate.denominator == 1 else float(rate),
        "video.channels": 3,
    }
