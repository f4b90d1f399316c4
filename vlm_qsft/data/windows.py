"""Which rows belong to a transition: s, the actions of a chunk, the rewards of n steps, and s'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from vlm_qsft.errors import InvalidSetting


@dataclass(frozen=True)
class WindowRows:
    """Rows of a batch of transitions; every row lies in the episode of its transition.

    Attributes:
        action_rows: rows of the action chunk; past the end of the episode the last row repeats.
        action_is_padding: True where it repeats.
        reward_rows: rows of the n rewards; past the end the last row repeats.
        reward_is_padding: True where it repeats: that reward does not count.
        next_rows: row of s', n steps on. No row holds the observation after the last action: there s' is the last row.
        next_is_padding: True where s' would lie past the end.
        steps_to_bootstrap: k <= n, the rewards that count; V(s') is discounted by gamma**k.
    """

    action_rows: Int64[np.ndarray, "batch chunk"]
    action_is_padding: Bool[np.ndarray, "batch chunk"]
    reward_rows: Int64[np.ndarray, "batch n_step"]
    reward_is_padding: Bool[np.ndarray, "batch n_step"]
    next_rows: Int64[np.ndarray, " batch"]
    next_is_padding: Bool[np.ndarray, " batch"]
    steps_to_bootstrap: Int64[np.ndarray, " batch"]


def window_rows(
    rows: Int64[np.ndarray, " batch"], ends: Int64[np.ndarray, " batch"], *, action_chunk: int, n_step: int
) -> WindowRows:
    """Return the rows of the transitions that start at `rows`.

    Args:
        ends: one past the last row of the episode of every row.
        action_chunk: control steps per decision.
        n_step: control steps until s'.
    Raises:
        InvalidSetting: a length below 1.
    """
    if action_chunk < 1 or n_step < 1:
        raise InvalidSetting(f"action_chunk is {action_chunk} and n_step is {n_step}; both must be at least 1.")
    last = (ends - 1)[:, None]
    action_rows = rows[:, None] + np.arange(action_chunk)
    reward_rows = rows[:, None] + np.arange(n_step)
    return WindowRows(
        action_rows=np.minimum(action_rows, last),
        action_is_padding=action_rows > last,
        reward_rows=np.minimum(reward_rows, last),
        reward_is_padding=reward_rows > last,
        next_rows=np.minimum(rows + n_step, ends - 1),
        next_is_padding=rows + n_step >= ends,
        steps_to_bootstrap=np.minimum(n_step, ends - rows),
    )
