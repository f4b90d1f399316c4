"""One recorded episode with the decisions of the policy: what the player shows."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from vlm_qsft.report.missing import Missing

REQUIRED = ("frames", "q_values", "probabilities", "action_bins", "value")


@dataclass(frozen=True)
class Trace:
    """An episode of `step` control steps.

    Attributes:
        frames: what each camera saw when the policy decided, RGB.
        q_values: likelihood ratio of every bin, in [0, 1]; NaN for a policy without likelihood model.
        probabilities: the distribution each bin was drawn from.
        action_bins: the chosen bins.
        value: V(s) in [0, 1]; NaN for a policy without likelihood model.
        instruction: what the policy was told; empty when not recorded.
        cameras: their names, empty when not recorded.
        action_names: names of the action dimensions, empty when not recorded.
        bin_centers: physical value of every bin, None when not recorded.
    """

    frames: UInt8[np.ndarray, "step camera height width 3"]
    q_values: Float32[np.ndarray, "step action_dim n_bins"]
    probabilities: Float32[np.ndarray, "step action_dim n_bins"]
    action_bins: Int64[np.ndarray, "step action_dim"]
    value: Float32[np.ndarray, " step"]
    instruction: str
    cameras: tuple[str, ...]
    action_names: tuple[str, ...]
    bin_centers: Float32[np.ndarray, "action_dim n_bins"] | None

    @property
    def has_value(self) -> bool:
        """Return whether the policy has a likelihood model, hence a value."""
        return bool(np.isfinite(self.value).any())

    @property
    def has_q_values(self) -> bool:
        """Return whether the policy has both models, hence Q-values."""
        return bool(np.isfinite(self.q_values).any())

    def chosen_q_values(self) -> Float32[np.ndarray, " step"]:
        """Return the Q-value of each whole action: that of the last dimension's bin, given all the bins before it."""
        last = self.q_values[:, -1, :]
        return np.take_along_axis(last, self.action_bins[:, -1:], axis=1)[:, 0]


def load_trace(path: Path, *, run_folder: Path) -> Trace | Missing:
    """Return the trace in an NPZ file, or why it cannot be shown. Nothing in it is unpickled."""
    shown = path.relative_to(run_folder)
    if not path.exists():
        return Missing("No trace recorded.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
        return Missing(f"{shown} cannot be read: {problem}.")
    absent = [name for name in REQUIRED if name not in arrays]
    if absent:
        return Missing(f"{shown} lacks {', '.join(absent)}.")
    trace = _build(arrays)
    problem = _contradiction(trace)
    return Missing(f"{shown} cannot be shown: {problem}.") if problem else trace


def _build(arrays: dict[str, np.ndarray]) -> Trace:
    centers = arrays.get("bin_centers")
    return Trace(
        frames=arrays["frames"],
        q_values=arrays["q_values"].astype(np.float32),
        probabilities=arrays["probabilities"].astype(np.float32),
        action_bins=arrays["action_bins"].astype(np.int64),
        value=arrays["value"].astype(np.float32),
        instruction=str(arrays["instruction"]) if "instruction" in arrays else "",
        cameras=_names(arrays.get("cameras")),
        action_names=_names(arrays.get("action_names")),
        bin_centers=None if centers is None else centers.astype(np.float32),
    )


def _names(stored: np.ndarray | None) -> tuple[str, ...]:
    return () if stored is None else tuple(str(name) for name in stored.reshape(-1))


def _contradiction(trace: Trace) -> str:
    """Return what two arrays disagree about, or nothing."""
    if trace.frames.dtype != np.uint8 or trace.frames.ndim != 5 or trace.frames.shape[-1] != 3 or not trace.frames.size:
        return f"frames are {trace.frames.dtype} {trace.frames.shape}, expected uint8 (step, camera, height, width, 3)"
    steps = trace.frames.shape[0]
    if trace.q_values.ndim == 3 and trace.q_values.shape[2] == 0:
        return "it has no bins, as that of a scripted demonstrator"
    if trace.q_values.ndim != 3 or trace.q_values.shape[0] != steps or not trace.q_values.size:
        return f"q_values are {trace.q_values.shape}, expected ({steps}, action_dim, n_bins)"
    if trace.probabilities.shape != trace.q_values.shape:
        return f"probabilities are {trace.probabilities.shape}, q_values {trace.q_values.shape}"
    if trace.action_bins.shape != trace.q_values.shape[:2]:
        return f"action_bins are {trace.action_bins.shape}, expected {trace.q_values.shape[:2]}"
    if trace.value.shape != (steps,):
        return f"value is {trace.value.shape}, expected ({steps},)"
    if trace.action_bins.min() < 0 or trace.action_bins.max() >= trace.q_values.shape[2]:
        return f"an action bin lies outside 0..{trace.q_values.shape[2] - 1}"
    return ""
