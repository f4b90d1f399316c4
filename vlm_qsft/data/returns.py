"""Monte-Carlo returns: the discounted sums that Q-SFT learns from, and the unit interval that they must lie in."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from vlm_qsft.errors import DatasetError, TargetOutOfRange

RETURN_TOLERANCE = 1e-4
"""How far a return may leave [0, 1] before the rewards count as unscaled: float32 sums round by less."""


def episode_returns(
    reward: Float[np.ndarray, " frame"], gamma: float, *, terminated: Bool[np.ndarray, " frame"] | None = None
) -> Float32[np.ndarray, " frame"]:
    """Return the Monte-Carlo return of every step of one episode, see `monte_carlo_returns`."""
    return monte_carlo_returns(reward, np.array([len(reward)]), gamma, terminated=terminated)


def monte_carlo_returns(
    reward: Float[np.ndarray, " frame"],
    lengths: np.ndarray,
    gamma: float,
    *,
    terminated: Bool[np.ndarray, " frame"] | None = None,
) -> Float32[np.ndarray, " frame"]:
    """Return the Monte-Carlo return of every frame of a whole data set.

        G_t = r_t + gamma * bootstrap_mask_t * G_{t+1},   bootstrap_mask = ~terminated,   G after the last step = 0

    A truncated episode counts 0 after the cut as well: its return is a lower bound, because what would have followed
    was not recorded. Backups that bootstrap do not have this flaw.

    Args:
        reward: all frames, episode after episode.
        lengths: frames per episode; their sum is the number of frames.
        terminated: True where nothing is bootstrapped; None where this can only be the last frame of an episode.
    Raises:
        DatasetError: the lengths do not add up.
    """
    return discounted_sums(reward, lengths, gamma, terminated=terminated).astype(np.float32)


def discounted_sums(
    reward: Float[np.ndarray, " frame"],
    lengths: np.ndarray,
    gamma: float,
    *,
    terminated: Bool[np.ndarray, " frame"] | None = None,
) -> Float64[np.ndarray, " frame"]:
    """Return `monte_carlo_returns` in double precision: for rewards that are not scaled yet."""
    if int(np.sum(lengths)) != len(reward):
        raise DatasetError(f"{len(reward)} rewards, but the episodes have {int(np.sum(lengths))} frames together.")
    returns = reward.astype(np.float64)
    if len(returns) == 0:
        return returns
    discount = np.full(len(reward), gamma) if terminated is None else np.where(terminated, 0.0, gamma)
    order = np.argsort(lengths, kind="stable")[::-1]
    last, longest_first = (np.cumsum(lengths) - 1)[order], lengths[order]
    # One pass per step before the end, over all episodes that are this long: as many passes as the longest has frames.
    for steps_before_end in range(1, int(longest_first[0])):
        rows = last[: np.searchsorted(-longest_first, -steps_before_end, side="left")] - steps_before_end
        returns[rows] += discount[rows] * returns[rows + 1]
    return returns


LABELLING = "Label the data set by a rule that scales them: `qsft label FOLDER --rule keep`, or 'binary01'."


def check_returns(returns: Float[np.ndarray, " frame"], *, reward_rule: str, remedy: str = LABELLING) -> None:
    """Refuse returns that leave [0, 1].

    Args:
        reward_rule: named by the error.
        remedy: what the error tells the user to do.

    Raises:
        TargetOutOfRange: names the rule and the extremes.
    """
    if returns.size == 0:
        return
    low, high = float(np.min(returns)), float(np.max(returns))
    if low < -RETURN_TOLERANCE or high > 1.0 + RETURN_TOLERANCE:
        raise TargetOutOfRange(
            f"Reward rule '{reward_rule}' gives returns from {low:.6g} to {high:.6g}; Q-SFT needs every return in "
            f"[0, 1]. {remedy}"
        )
