"""The physical values of the action bins, from the checkpoint that a policy was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from vlm_qsft.errors import QsftError
from vlm_qsft.tokens import ActionTokenizer

CHECKPOINT_OF_POLICY = {"qsft": "q", "sft": "behavior", "sft_success": "sft_success"}


def load_bin_centers(
    run_folder: Path, policy: str, *, action_dim: int, n_bins: int
) -> Float32[np.ndarray, "action_dim n_bins"] | None:
    """Return the physical value of every bin of a policy, or None where its checkpoint is absent or of other bins.

    Without it the player names bins by their number only.
    """
    phase = CHECKPOINT_OF_POLICY.get(policy)
    if phase is None:
        return None
    path = run_folder / phase / "policy" / "action_tokenizer.json"
    try:
        tokenizer = ActionTokenizer.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, QsftError):
        return None
    centers = np.asarray(tokenizer.centers, dtype=np.float32)
    return centers if centers.shape == (action_dim, n_bins) else None
