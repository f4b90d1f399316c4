"""What the script of a player draws from: one JSON object per episode."""

from __future__ import annotations

import base64
import json

import numpy as np
from jaxtyping import Float32

from qsft_sim.trace import Trace
from vlm_qsft.report.sprite import make_sprite


def write_payload(trace: Trace) -> str:
    """Return a trace as JSON: per step and dimension one byte for each bin's Q-value and probability.

    A byte of Q is Q * 255 rounded (the colour scale has no more steps); a byte of probability is relative to the
    likeliest bin of the same step and dimension, whose probability is in `peaks`.
    """
    peaks = np.maximum(trace.probabilities.max(axis=2), np.float32(1e-12))
    payload = {
        "steps": trace.steps,
        "bins": trace.n_bins,
        "period_s": trace.period_s,
        "dimensions": trace.action_names,
        "cameras": [vars(make_sprite(trace.frames[:, camera])) for camera in range(len(trace.cameras))],
        "q": _bytes(trace.q_values) if trace.has_q_values else None,
        "odds": _bytes(trace.probabilities / peaks[:, :, None]),
        "peaks": _rows(peaks),
        "chosen": trace.action_bins.tolist(),
        "value": [round(float(number), 4) if np.isfinite(number) else None for number in trace.value],
        "centers": _rows(trace.bin_centers) if np.isfinite(trace.bin_centers).all() else None,
    }
    return json.dumps(payload, allow_nan=False, separators=(",", ":"))


def _bytes(shares: Float32[np.ndarray, "step action_dim n_bins"]) -> str:
    rounded = np.rint(np.clip(np.nan_to_num(shares, nan=0.0), 0.0, 1.0) * 255).astype(np.uint8)
    return base64.b64encode(rounded.tobytes()).decode("ascii")


def _rows(numbers: np.ndarray) -> list[list[float]]:
    return [[round(float(number), 5) for number in row] for row in numbers]
