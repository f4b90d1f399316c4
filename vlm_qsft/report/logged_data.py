"""The logs that the policies learned from: how many, and their own success rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.errors import QsftError
from vlm_qsft.report.missing import Missing


@dataclass(frozen=True)
class LoggedData:
    """The data set of a run.

    Attributes:
        episodes, frames: their numbers.
        success_rate: share of successful episodes; None where the data set has no success labels.
    """

    episodes: int
    frames: int
    success_rate: float | None


def load_logged_data(run_folder: Path) -> LoggedData | Missing:
    """Return what the report says about `run_folder/data`, or why there is nothing to say."""
    root = run_folder / "data"
    if not root.is_dir():
        return Missing("data/ was not recorded by this run.")
    try:
        reader = DatasetReader(root)
    except QsftError as problem:
        return Missing(f"data/ cannot be read: {problem}")
    success = reader.episodes.success
    return LoggedData(
        episodes=reader.n_episodes,
        frames=reader.n_frames,
        success_rate=None if success is None else float(np.mean(success)),
    )
