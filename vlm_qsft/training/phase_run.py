"""The frame of every phase: one process per folder, the same command continues, what only a resumption needs goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vlm_qsft.data.folder_lock import FolderLock
from vlm_qsft.data.storage import remove_partials
from vlm_qsft.model.manifest import MANIFEST_NAME
from vlm_qsft.training.device import keep_freed_memory, set_threads
from vlm_qsft.training.phase_record import agree_on_settings
from vlm_qsft.training.splits import EpisodeFrames, Splits
from vlm_qsft.training.step_folder import keep_only
from vlm_qsft.training.trainer import TokenTrainer

POLICY_FOLDER = "policy"


def run_phase(out: Path, asked: Mapping[str, Any], train: Callable[[Path], None]) -> Path:
    """Run a phase, or what is left of it, and return its checkpoint folder, `out/policy`.

    Args:
        asked: nested JSON values: everything that decides the result.
        train: trains and writes the checkpoint to the folder that it is given.

    Raises:
        InvalidSetting: `out` was begun with other settings, named with both values, or holds something else.
        InUse: another process trains in `out`.
    """
    with FolderLock(out):
        remove_partials(out)
        agree_on_settings(out, asked)
        policy = out / POLICY_FOLDER
        if not (policy / MANIFEST_NAME).is_file():
            set_threads()
            keep_freed_memory()
            train(policy)
        keep_only(out, None)
        for path in out.glob("best-*.safetensors"):
            path.unlink()
        return policy


def outcome(trainer: TokenTrainer, table: EpisodeFrames, splits: Splits) -> dict[str, Any]:
    """Return what a finished phase says about itself, for the checkpoint's metadata."""
    return {
        "steps": trainer.state.global_step,
        "best_step": trainer.held_out.best_step or None,
        "episodes": table.n_episodes,
        "successful_episodes": int(table.episode_success.sum()),
        "train_frames": len(splits.train),
        "validation_frames": len(splits.validation),
    }
