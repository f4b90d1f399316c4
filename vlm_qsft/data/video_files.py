"""The video files of a data set: every file that a clip lies in is copied whole, and once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vlm_qsft.data.episode import VideoClip
from vlm_qsft.data.file_numbers import FILES_PER_CHUNK, VIDEO_PATH, numbered
from vlm_qsft.data.schema import image_key
from vlm_qsft.data.staging import FOLDER
from vlm_qsft.data.storage import copy_durably, storage_errors
from vlm_qsft.errors import DatasetError

COPIED = "copied"
"""Below the staging folder: files that are copied already; a second start need not copy them again."""


@dataclass(frozen=True)
class VideoRow:
    """Where one camera of one episode lies."""

    file: tuple[int, int]
    from_s: float
    to_s: float


class VideoFiles:
    """Copies video files and says where the episodes lie in the copies."""

    def __init__(self, root: Path, target: Path) -> None:
        """Begin with no file.

        Args:
            root: the data set's folder, with its staging folder.
            target: where videos/ is made.
        """
        self._copied, self._target = root / FOLDER / COPIED, target
        self._numbers: dict[str, dict[Path, int]] = {}

    def add(self, clips: Mapping[str, VideoClip], length: int, fps: Fraction) -> dict[str, VideoRow]:
        """Return camera -> where the clip lies, its file copied where it was not yet.

        Raises:
            DatasetError: the source of a file is gone.
            StorageError: disk full.
        """
        rows = {}
        for camera, clip in clips.items():
            numbers = self._numbers.setdefault(camera, {})
            if clip.path not in numbers:
                numbers[clip.path] = len(numbers)
                self._copy(camera, clip.path, numbers[clip.path])
            place = divmod(numbers[clip.path], FILES_PER_CHUNK)
            rows[camera] = VideoRow(place, clip.from_s, clip.from_s + length * float(1 / fps))
        return rows

    def first_files(self) -> dict[str, Path]:
        """Return camera -> its first copied file."""
        return {camera: self._path(self._target, camera, 0) for camera in self._numbers}

    def _copy(self, camera: str, source: Path, number: int) -> None:
        copied, path = self._path(self._copied, camera, number), self._path(self._target, camera, number)
        try:
            if not copied.exists() or copied.stat().st_size != source.stat().st_size:
                copy_durably(source, copied)
        except FileNotFoundError as error:
            raise DatasetError(f"{source} is gone; it was there when the conversion began.") from error
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.hardlink_to(copied)
            except OSError:
                # A file system without hard links.
                os.replace(copied, path)

    def _path(self, folder: Path, camera: str, number: int) -> Path:
        return folder / numbered(VIDEO_PATH, number, video_key=image_key(camera))
