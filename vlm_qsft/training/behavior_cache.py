"""log pi_phi of a whole data set, computed once before the Q phase and memory-mapped during it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64

from vlm_qsft.data.folder_lock import FolderLock
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.errors import DatasetError
from vlm_qsft.model.action_logits import renormalise_bins
from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.training.device import autocast
from vlm_qsft.training.progress import ProgressListener
from vlm_qsft.training.token_dataset import RowSource

LOGGED_FILE = "logged.npy"
WHOLE_FILE = "whole.npy"
STATE_FILE = "state.json"
Shapes = Mapping[str, tuple[tuple[int, ...], type]]
"""File name -> shape and type of its numbers."""
SAVE_EVERY_BATCHES = 50
"""Batches between flushes to the disk: what a kill costs."""


class BehaviorCache:
    """log pi_phi, on the pictures as stored: of the logged tokens always, of every bin where the Q phase needs it."""

    def __init__(self, folder: Path) -> None:
        """Open a complete cache; call `build_behavior_cache`, which makes it if it is not there."""
        self._logged: np.ndarray = np.load(folder / LOGGED_FILE, mmap_mode="r")
        whole = folder / WHOLE_FILE
        self._whole: np.ndarray | None = np.load(whole, mmap_mode="r") if whole.exists() else None

    def logged(self, rows: Int64[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch token"]:
        """Return log pi_phi of the logged tokens."""
        return self._logged[rows]

    def first(self, rows: Int64[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch n_bins"]:
        """Return log pi_phi of every bin of the first token. Raises as `whole` does."""
        return self._read(rows, 0)

    def whole(self, rows: Int64[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch token n_bins"]:
        """Return log pi_phi of every bin; stored in half precision, renormalised here.

        Raises:
            ValueError: the cache was made for a Q phase that does not need it.
        """
        return self._read(rows, slice(None))

    def _read(self, rows: np.ndarray, tokens: int | slice) -> np.ndarray:
        if self._whole is None:
            raise ValueError("This cache holds log pi_phi of the logged tokens only.")
        stored = torch.from_numpy(self._whole[rows, tokens]).float()
        return stored.log_softmax(-1).numpy()


def build_behavior_cache(
    scorer: TokenScorer[Any],
    source: RowSource,
    folder: Path,
    *,
    is_whole: bool,
    batch_size: int,
    device: torch.device,
    precision: str,
    progress: ProgressListener | None = None,
) -> BehaviorCache:
    """Return the cache in `folder`, computing what is missing of it.

    Args:
        folder: of this checkpoint on these data and no other: its name is the key.
        is_whole: store every bin too.
        precision: the one p_theta is trained in: the ratio of two precisions would be noise.

    Raises:
        StorageError: disk full; called again it continues.
    """
    n_rows, spec = source.n_rows, scorer.spec
    shapes: dict[str, tuple[tuple[int, ...], type]] = {LOGGED_FILE: ((n_rows, spec.n_tokens), np.float32)}
    if is_whole:
        # Half precision: 0.1 % of a ratio, half the disk; a log-probability never comes near its limits.
        shapes[WHOLE_FILE] = ((n_rows, spec.n_tokens, spec.n_bins), np.float16)
    # Two phases may build on the same behavior policy at the same time: the second waits for the first.
    with FolderLock(folder, waits=True), storage_errors(folder):
        complete = _rows_complete(folder, shapes)
        files = {name: _memmap(folder / name, shape, kind) for name, (shape, kind) in shapes.items()}
        scorer = scorer.to(device).eval()
        for number, begin in enumerate(range(complete, n_rows, batch_size)):
            if number % SAVE_EVERY_BATCHES == 0 and number:
                _note(folder, files, begin)
            if progress is not None:
                progress("log pi_phi", begin, n_rows)
            rows = slice(begin, min(begin + batch_size, n_rows))
            inputs, bins = source.rows(rows.start, rows.stop)
            bins = bins.to(device)
            with torch.no_grad(), autocast(device, precision):
                log_pi = renormalise_bins(scorer.log_probs(inputs.to(device), bins))
            files[LOGGED_FILE][rows] = log_pi.gather(-1, bins[..., None]).squeeze(-1).cpu().numpy()
            if is_whole:
                files[WHOLE_FILE][rows] = log_pi.cpu().numpy()
        if complete < n_rows:
            _note(folder, files, n_rows)
    if progress is not None:
        progress("log pi_phi", n_rows, n_rows)
    return BehaviorCache(folder)


def _rows_complete(folder: Path, shapes: Shapes) -> int:
    """Return how many rows all files hold; 0 where a file or the note about them is not as it was left."""
    try:
        state = read_json(folder / STATE_FILE)
        if not all(_fits(folder / name, shape, kind) for name, (shape, kind) in shapes.items()):
            return 0
        return min(int(state.get(name, 0)) for name in shapes)
    except (DatasetError, TypeError, ValueError):
        return 0


def _memmap(path: Path, shape: tuple[int, ...], kind: type) -> np.memmap:
    """Return a file to write into. One that fits is never emptied: another phase may be reading it."""
    if _fits(path, shape, kind):
        return np.lib.format.open_memmap(path, mode="r+")
    made = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    # The space is reserved now: a memory-mapped file that meets a full disk later kills the process without a word.
    with open(path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError:
            os.ftruncate(file.fileno(), 0)
            raise
    return made


def _fits(path: Path, shape: tuple[int, ...], kind: type) -> bool:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return found.shape == shape and found.dtype == kind


def _note(folder: Path, files: dict[str, np.memmap], rows: int) -> None:
    for file in files.values():
        file.flush()
    write_durably(folder / STATE_FILE, json.dumps(dict.fromkeys(files, rows)).encode())
