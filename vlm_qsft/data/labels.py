"""Rewards by named rules and the Monte-Carlo returns that Q-SFT learns from."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Float32

from vlm_qsft.errors import DatasetError, InvalidSetting, TargetOutOfRange, UnknownName

RETURN_TOLERANCE = 1e-4
"""How far a return may leave [0, 1] before the rewards count as unscaled: float32 sums round by less."""

REWARD_RULES = {
    "binary01": "1 on the last step of a success, else 0",
    "keep": "rewards as the source gave them; they must already keep every return in [0, 1]",
}


@dataclass(frozen=True)
class LabelSettings:
    """How the labels of a data set came about; stored beside the data in meta/labels.json.

    Attributes:
        reward_rule: a name of REWARD_RULES.
        gamma: discount per control step of the Monte-Carlo return, in (0, 1].
        source: who decided on success: "simulator", "operator", "path", "assumed", ...
    """

    reward_rule: str
    gamma: float
    source: str

    def __post_init__(self) -> None:
        if self.reward_rule not in REWARD_RULES:
            raise UnknownName("reward rule", self.reward_rule, REWARD_RULES)
        if not 0.0 < self.gamma <= 1.0:
            raise InvalidSetting(f"gamma is {self.gamma}; expected a discount per control step in (0, 1].")

    def to_record(self) -> dict[str, str | float]:
        """Return the fields for JSON."""
        return asdict(self)


def binary01_reward(length: int, *, success: bool) -> Float32[np.ndarray, " frame"]:
    """Return the reward of rule `binary01`: 1 on the last step of a success, else 0."""
    reward = np.zeros(length, dtype=np.float32)
    if success and length:
        reward[-1] = 1.0
    return reward


def episode_returns(reward: Float[np.ndarray, " frame"], gamma: float) -> Float32[np.ndarray, " frame"]:
    """Return the Monte-Carlo return of every step of one episode.

        G_t = r_t + gamma * G_{t+1},  G after the last step = 0

    A truncated episode counts 0 after the cut as well: its return is a lower bound, because what would have followed
    was not recorded. Backups that bootstrap do not have this flaw.
    """
    returns = np.empty(len(reward), dtype=np.float64)
    after = 0.0
    for step in range(len(reward) - 1, -1, -1):
        after = float(reward[step]) + gamma * after
        returns[step] = after
    return returns.astype(np.float32)


def monte_carlo_returns(
    reward: Float[np.ndarray, " frame"], lengths: np.ndarray, gamma: float
) -> Float32[np.ndarray, " frame"]:
    """Return the Monte-Carlo return of every frame of a whole data set, see `episode_returns`.

    Args:
        reward: all frames, episode after episode.
        lengths: frames per episode; their sum is the number of frames.
    Raises:
        DatasetError: the lengths do not add up.
    """
    if int(np.sum(lengths)) != len(reward):
        raise DatasetError(f"{len(reward)} rewards, but the episodes have {int(np.sum(lengths))} frames together.")
    parts = np.split(reward, np.cumsum(lengths)[:-1]) if len(lengths) else []
    return np.concatenate([episode_returns(part, gamma) for part in parts] or [np.zeros(0, np.float32)])


def check_returns(returns: Float[np.ndarray, " frame"], *, reward_rule: str) -> None:
    """Refuse returns that leave [0, 1].

    Raises:
        TargetOutOfRange: names the rule and the extremes.
    """
    if returns.size == 0:
        return
    low, high = float(np.min(returns)), float(np.max(returns))
    if low < -RETURN_TOLERANCE or high > 1.0 + RETURN_TOLERANCE:
        raise TargetOutOfRange(
            f"Reward rule '{reward_rule}' gives returns from {low:.6g} to {high:.6g}; Q-SFT needs every return in "
            "[0, 1]. Scale the rewards, or label the data set by rule 'binary01'."
        )
