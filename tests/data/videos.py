"""Videos as PyAV gives them: what our reading of video files is compared with."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def decoded(path: Path) -> np.ndarray:
    """Return every frame of a video: uint8 (frame, height, width, 3)."""
    container = av.open(str(path))
    frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    container.close()
    return np.stack(frames)
