"""Decoded frames for training: decoded and resized once into one memory-mapped file, or on the fly where it is too big.

path/frames.uint8     (frame, camera, height, width, 3), no header
path/blocks.bin       one byte per block of frames: 1 once the block is on the disk
path/manifest.json    what the file holds; "complete" is set last
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from vlm_qsft.data.folder_lock import FolderLock
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import resize
from vlm_qsft.processes import Progress, run_in_order

BLOCK_FRAMES = 256
"""Frames per block: what a kill loses per worker; a few seconds of work."""


@runtime_checkable
class Frames(Protocol):
    """Decoded pictures by frame."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names, in the order of the camera axis."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of all pictures."""
        ...

    def gather(self, rows: Int64[np.ndarray, " batch"]) -> UInt8[np.ndarray, "batch camera height width 3"]:
        """Return the pictures of all cameras at the given frames, a copy."""
        ...


@dataclass(frozen=True)
class LiveFrames:
    """Frames decoded on the fly, for data sets that are too big for a cache.

    Attributes:
        size: (height, width) of all cameras.
    """

    reader: DatasetReader
    cameras: tuple[str, ...]
    size: tuple[int, int]

    def gather(self, rows: Int64[np.ndarray, " batch"]) -> UInt8[np.ndarray, "batch camera height width 3"]:
        """Return the pictures of all cameras at the given frames."""
        height, width = self.size
        batch = np.empty((len(rows), len(self.cameras), height, width, 3), dtype=np.uint8)
        for place, pictures in enumerate(self.reader.images_at([int(row) for row in rows], self.cameras)):
            for column, camera in enumerate(self.cameras):
                batch[place, column] = resize(pictures[camera], self.size)
        return batch


class FrameCache:
    """The memory-mapped frames of one data set at one size."""

    def __init__(self, path: Path, manifest: dict) -> None:
        """Map a complete cache; use `build` or `open`."""
        self.cameras: tuple[str, ...] = tuple(manifest["cameras"])
        self.size: tuple[int, int] = (manifest["size"][0], manifest["size"][1])
        shape = frames_shape(manifest)
        self._frames = np.memmap(path / "frames.uint8", dtype=np.uint8, mode="r", shape=shape)

    def gather(self, rows: Int64[np.ndarray, " batch"]) -> UInt8[np.ndarray, "batch camera height width 3"]:
        """Return the pictures of all cameras at the given frames, a copy."""
        return np.asarray(self._frames[rows])

    @classmethod
    def open(cls, reader: DatasetReader, path: Path, *, size: tuple[int, int]) -> FrameCache:
        """Map a complete cache of exactly this data set and size.

        Raises:
            DatasetError: absent, incomplete, or of another data set or size.
        """
        path = Path(path)
        wanted = new_manifest(reader, size)
        if not is_whole(path, wanted):
            raise DatasetError(f"{path} is no complete frame cache of {reader.root} at {size}. Build it first.")
        return cls(path, wanted)

    @classmethod
    def build(
        cls,
        reader: DatasetReader,
        path: Path,
        *,
        size: tuple[int, int],
        workers: int = 1,
        progress: Progress | None = None,
        max_bytes: int | None = None,
    ) -> FrameCache | None:
        """Return the cache of a data set, built where it is not complete; an interrupted build continues.

        A cache of other content at this path is replaced.

        Args:
            size: (height, width) of all cameras.
            progress: called with (complete, total) blocks of frames.
            max_bytes: None is returned, and nothing written, where the file would be larger.
        Raises:
            StorageError: disk full; found out before the work begins.
            DatasetError, ShapeMismatch: a picture that cannot be read.
        """
        path = Path(path)
        manifest = new_manifest(reader, size)
        n_bytes = int(np.prod(frames_shape(manifest)))
        if max_bytes is not None and n_bytes > max_bytes:
            return None
        if is_whole(path, manifest):
            return cls(path, manifest)
        # Two phases of a run may begin at the same time and share the cache: the second waits for the first.
        with FolderLock(path, waits=True), storage_errors(path):
            if not is_whole(path, manifest):
                fill(reader, path, manifest, n_bytes, workers=workers, progress=progress)
        return cls(path, manifest)


@dataclass(frozen=True)
class BlockDecoder:
    """Decodes blocks of frames into their place in the file, in whatever process it is made."""

    root: Path
    path: Path
    cameras: tuple[str, ...]
    size: tuple[int, int]
    n_frames: int

    @cached_property
    def _frames(self) -> LiveFrames:
        return LiveFrames(DatasetReader(self.root), self.cameras, self.size)

    def __call__(self, block: int) -> int:
        """Write the block, bring it to the disk and return its number."""
        rows = np.arange(block * BLOCK_FRAMES, min((block + 1) * BLOCK_FRAMES, self.n_frames))
        pictures = self._frames.gather(rows)
        offset = int(rows[0]) * pictures[0].nbytes
        with storage_errors(self.path), open(self.path / "frames.uint8", "r+b", buffering=0) as file:
            view = memoryview(pictures.reshape(-1))
            while view:
                written = os.pwrite(file.fileno(), view, offset)
                view, offset = view[written:], offset + written
            os.fdatasync(file.fileno())
        return block


def open_frames(
    reader: DatasetReader,
    path: Path,
    *,
    size: tuple[int, int],
    max_bytes: int,
    workers: int = 1,
    progress: Progress | None = None,
) -> Frames:
    """Return a frame cache where it fits into `max_bytes`, else frames decoded on the fly. Raises as `build` does."""
    cache = FrameCache.build(reader, path, size=size, workers=workers, progress=progress, max_bytes=max_bytes)
    return cache if cache is not None else LiveFrames(reader, tuple(reader.schema.cameras), size)


def fill(
    reader: DatasetReader, path: Path, manifest: dict, n_bytes: int, *, workers: int, progress: Progress | None
) -> None:
    """Decode the blocks that are missing, and mark the cache as complete. Raises as `FrameCache.build` does."""
    if not matches(path, manifest):
        begin(path, manifest, n_bytes)
    finished = np.frombuffer((path / "blocks.bin").read_bytes(), np.uint8)
    waiting = [block for block in range(len(finished)) if not finished[block]]
    size = (manifest["size"][0], manifest["size"][1])
    decode = partial(BlockDecoder, reader.root, path, tuple(manifest["cameras"]), size, reader.n_frames)
    with open(path / "blocks.bin", "r+b", buffering=0) as marks:
        decoded = run_in_order(decode, waiting, workers=workers)
        for complete, block in enumerate(decoded, start=len(finished) - len(waiting) + 1):
            os.pwrite(marks.fileno(), b"\x01", block)
            if progress is not None:
                progress(complete, len(finished))
    write_durably(path / "manifest.json", json.dumps({**manifest, "complete": True}).encode())


def begin(path: Path, manifest: dict, n_bytes: int) -> None:
    """Lay out an empty cache. The space is reserved now: a memory-mapped file must never meet a full disk."""
    (path / "manifest.json").unlink(missing_ok=True)
    with open(path / "frames.uint8", "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        except OSError:
            os.ftruncate(file.fileno(), 0)
            raise
    (path / "blocks.bin").write_bytes(bytes(n_blocks(manifest)))
    write_durably(path / "manifest.json", json.dumps(manifest).encode())


def new_manifest(reader: DatasetReader, size: tuple[int, int]) -> dict:
    """Return the manifest of a cache that is not complete."""
    return {
        "fingerprint": reader.fingerprint,
        "cameras": list(reader.schema.cameras),
        "size": list(size),
        "n_frames": reader.n_frames,
        "block_frames": BLOCK_FRAMES,
        "complete": False,
    }


def matches(path: Path, wanted: dict) -> bool:
    """Tell whether a cache, complete or not, is of this content, with every file in its size.

    What cannot be read does not match: a cache is made again rather than mended.
    """
    try:
        found = read_json(path / "manifest.json")
        frames, blocks = ((path / name).stat().st_size for name in ("frames.uint8", "blocks.bin"))
    except (DatasetError, OSError):
        return False
    sizes = (int(np.prod(frames_shape(wanted))), n_blocks(wanted))
    return {**found, "complete": False} == wanted and (frames, blocks) == sizes


def is_whole(path: Path, wanted: dict) -> bool:
    """Tell whether a cache is of this content and complete."""
    return matches(path, wanted) and bool(read_json(path / "manifest.json").get("complete"))


def n_blocks(manifest: dict) -> int:
    """Return the number of blocks of frames."""
    return -(-manifest["n_frames"] // BLOCK_FRAMES)


def frames_shape(manifest: dict) -> tuple[int, ...]:
    """Return (frame, camera, height, width, 3)."""
    sides: Sequence[int] = manifest["size"]
    return (manifest["n_frames"], len(manifest["cameras"]), sides[0], sides[1], 3)
