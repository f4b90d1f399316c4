"""An episode step by step: what was seen, what the policy believed and chose. The report shows it."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from qsft_sim.results import EpisodeResult, write_whole
from vlm_qsft.errors import DatasetError, QsftError, ShapeMismatch

ARRAYS = (
    "result", "period_s", "cameras", "frames", "action_names", "bin_centers", "q_values", "probabilities",
    "action_bins", "value",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Trace:
    """One episode of `step` control steps, at least one.

    Attributes:
        result: what an evaluation says about the episode: scene, instruction, outcome, settings of the policy.
        period_s: control period.
        cameras: names, in the order of `frames`.
        frames: RGB pictures before every step, at the size for people and not the policy's.
        action_names: names of the action's dimensions.
        bin_centers: what a bin means, physical units; NaN where the policy does not say.
        q_values: likelihood ratio of every bin at every step, in [0, 1]; NaN for a policy that has not both models.
        probabilities: distribution the bins were drawn from.
        action_bins: chosen bins.
        value: V(s) at every step, in [0, 1]; NaN for a policy without likelihood model.
    """

    result: EpisodeResult
    period_s: float
    cameras: tuple[str, ...]
    frames: UInt8[np.ndarray, "step camera height width 3"]
    action_names: tuple[str, ...]
    bin_centers: Float32[np.ndarray, "action_dim n_bins"]
    q_values: Float32[np.ndarray, "step action_dim n_bins"]
    probabilities: Float32[np.ndarray, "step action_dim n_bins"]
    action_bins: Int64[np.ndarray, "step action_dim"]
    value: Float32[np.ndarray, " step"]

    def __post_init__(self) -> None:
        """Raises ShapeMismatch: two arrays do not fit together, or a bin is none of the policy's."""
        frames = self.frames
        if frames.dtype != np.uint8 or frames.ndim != 5 or frames.shape[-1] != 3 or not frames.size:
            raise ShapeMismatch(
                f"frames are {frames.dtype} {frames.shape}, expected uint8 (step, camera, height, width, 3)"
            )
        steps, cameras = frames.shape[:2]
        action_dim, n_bins = len(self.action_names), self.q_values.shape[-1]
        expected = {
            "cameras": (cameras,),
            "bin_centers": (action_dim, n_bins),
            "q_values": (steps, action_dim, n_bins),
            "probabilities": (steps, action_dim, n_bins),
            "action_bins": (steps, action_dim),
            "value": (steps,),
        }
        for name, shape in expected.items():
            found = np.shape(getattr(self, name))
            if found != shape:
                raise ShapeMismatch(f"{name} is {found}, expected {shape}")
        if n_bins and (self.action_bins.min() < 0 or self.action_bins.max() >= n_bins):
            raise ShapeMismatch(f"an action bin lies outside 0..{n_bins - 1}")

    @property
    def steps(self) -> int:
        """Control steps of the episode."""
        return self.frames.shape[0]

    @property
    def n_bins(self) -> int:
        """Bins of every dimension; 0 for a policy without bins, such as a scripted demonstrator."""
        return self.q_values.shape[2]

    @property
    def has_value(self) -> bool:
        """Whether the policy has a likelihood model, hence a value."""
        return bool(np.isfinite(self.value).any())

    @property
    def has_q_values(self) -> bool:
        """Whether both models were asked, hence Q-values."""
        return bool(np.isfinite(self.q_values).any())

    def chosen_q_values(self) -> Float32[np.ndarray, " step"]:
        """Return the Q-value of each whole action: that of the last dimension's bin, given all the bins before it."""
        last = self.q_values[:, -1, :]
        return np.take_along_axis(last, self.action_bins[:, -1:], axis=1)[:, 0]

    def save(self, path: Path) -> None:
        """Write an .npz; distributions as float16, which is more than a plot shows.

        Raises:
            StorageError: disk full, or no permission.
        """
        content = io.BytesIO()
        np.savez_compressed(
            content,
            result=np.array(self.result.to_json()),
            period_s=np.array(self.period_s),
            cameras=np.array(self.cameras),
            frames=self.frames,
            action_names=np.array(self.action_names),
            bin_centers=self.bin_centers,
            q_values=self.q_values.astype(np.float16),
            probabilities=self.probabilities.astype(np.float16),
            action_bins=self.action_bins,
            value=self.value,
        )
        write_whole(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Return what `save` wrote; nothing in it is unpickled.

        Raises:
            DatasetError: the file is absent, cut off, of another version, or contradicts itself.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
            raise DatasetError(f"{path.name} cannot be read: {problem}.") from problem
        absent = [name for name in ARRAYS if name not in arrays]
        if absent:
            raise DatasetError(f"{path.name} lacks {', '.join(absent)}: it is no trace, or one of another version.")
        try:
            return cls(
                result=EpisodeResult.from_json(str(arrays["result"])),
                period_s=float(arrays["period_s"]),
                cameras=tuple(str(name) for name in arrays["cameras"]),
                frames=arrays["frames"],
                action_names=tuple(str(name) for name in arrays["action_names"]),
                bin_centers=arrays["bin_centers"].astype(np.float32),
                q_values=arrays["q_values"].astype(np.float32),
                probabilities=arrays["probabilities"].astype(np.float32),
                action_bins=arrays["action_bins"].astype(np.int64),
                value=arrays["value"].astype(np.float32),
            )
        except (QsftError, TypeError, ValueError, IndexError) as problem:
            raise DatasetError(f"{path.name} contradicts itself: {problem}.") from problem
