"""n-step transitions of every frame of a data set, in one pass over its columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64


@dataclass(frozen=True)
class TransitionTable:
    """What a backup collects from frame t to the frame it bootstraps from, k = min(horizon, frames left) steps later.

    The frames left are those up to the first termination, or to the end of the episode.

    Attributes:
        reward: sum of gamma**j * reward[t + j] over the k steps.
        discount: gamma**k.
        bootstrap_mask: False where the task ended within the k steps; a transition is never left out for it.
        next_frame: t + k; no row holds the observation after the last action, so there it is the last row itself
            (which matters after a truncation only: after a termination nothing is read from it).
    """

    reward: Float32[np.ndarray, " frame"]
    discount: Float32[np.ndarray, " frame"]
    bootstrap_mask: Bool[np.ndarray, " frame"]
    next_frame: Int64[np.ndarray, " frame"]


def transition_table(
    reward: Float32[np.ndarray, " frame"],
    terminated: Bool[np.ndarray, " frame"],
    stop: Int64[np.ndarray, " frame"],
    *,
    gamma: float,
    horizon: int,
) -> TransitionTable:
    """Return the transitions of every frame.

    Args:
        reward: for the action of each frame.
        terminated: True where the task ended: on the last frame of an episode, by some rules on a few before it.
        stop: index of the first frame after each frame's episode.
        gamma: discount per control step.
        horizon: control steps before bootstrapping; at least the length of an action chunk.
    """
    frame = np.arange(len(reward))
    past_end = np.minimum(stop, next_termination(terminated) + 1)
    total = np.zeros(len(reward))
    longest = int((past_end - frame).max(initial=0))
    for step in range(min(horizon, longest)):
        within = frame + step < past_end
        total[within] += gamma**step * reward[frame[within] + step]
    steps = np.minimum(horizon, past_end - frame)
    reaches_end = frame + steps == past_end
    return TransitionTable(
        reward=total.astype(np.float32),
        discount=(gamma**steps).astype(np.float32),
        bootstrap_mask=~(reaches_end & terminated[past_end - 1]),
        next_frame=np.minimum(frame + steps, stop - 1),
    )


def next_termination(terminated: Bool[np.ndarray, " frame"]) -> Int64[np.ndarray, " frame"]:
    """Return the first terminated frame from every frame on; the number of frames where there is none."""
    frames = np.arange(len(terminated))
    where = np.where(terminated, frames, len(terminated))
    return np.minimum.accumulate(where[::-1])[::-1]
