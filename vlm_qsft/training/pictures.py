"""Pictures by frame, in the scorer's cameras and size."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from vlm_qsft.data.frame_cache import Frames, open_frames
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.storage import storage_errors
from vlm_qsft.model.robot_scorer import ScorerSpec
from vlm_qsft.training.progress import ProgressListener

DISK_SHARE = 0.5
"""Share of the free disk that decoded pictures may take; beyond it they are decoded again and again."""


@dataclass(frozen=True)
class CameraPictures:
    """The chosen cameras of decoded frames.

    Attributes:
        frames: all cameras.
        columns: which of them, in the order of the scorer.
    """

    frames: Frames
    columns: tuple[int, ...]

    def __call__(self, frames: Int64[np.ndarray, " batch"]) -> UInt8[np.ndarray, "batch camera height width 3"]:
        """Return the pictures of these frames, which are read in the order in which they are stored."""
        ascending, places = np.unique(frames, return_inverse=True)
        pictures = self.frames.gather(ascending)[places]
        if self.columns == tuple(range(pictures.shape[1])):
            return pictures
        return pictures[:, self.columns]


def open_pictures(
    reader: DatasetReader, spec: ScorerSpec, cache: Path, *, workers: int, progress: ProgressListener | None
) -> CameraPictures:
    """Decode every picture of a data set once into the cache folder, unless it is there already.

    Raises:
        DatasetError, ShapeMismatch: a picture that cannot be read.
        StorageError: the disk is full.
    """
    height, width = spec.image_size
    folder = cache / f"pictures-{reader.fingerprint[:16]}-{height}x{width}"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = sum(path.stat().st_size for path in folder.iterdir())
        max_bytes = int(DISK_SHARE * (shutil.disk_usage(folder).free + held))
    frames = open_frames(
        reader,
        folder,
        size=spec.image_size,
        max_bytes=max_bytes,
        workers=workers,
        progress=None if progress is None else lambda complete, total: progress("pictures", complete, total),
    )
    return CameraPictures(frames, tuple(frames.cameras.index(camera) for camera in spec.cameras))
