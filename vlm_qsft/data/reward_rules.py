"""Reward rules: from the outcome of an episode to the raw reward of every step, before any scaling.

A rule also says on which steps the task counts as over: nothing is bootstrapped there (`ends`). That is a decision of
the rule and not the same as where a recording stops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

VGPS_GOAL_STEPS = 3
"""The last steps of a success that V-GPS counts as being at the goal."""

REWARD_RULES = {
    "binary01": "1 on the last step of a success, else 0",
    "vgps": f"-1 per step, 0 on the last {VGPS_GOAL_STEPS} steps of a success, where nothing is bootstrapped",
    "recap": "-1 per step; on the last one 0 after a success, -C after a failure",
    "keep": "rewards as the source gave them",
}


@dataclass(frozen=True)
class RawRewards:
    """One episode under a rule.

    Attributes:
        reward: in the rule's own units.
        ends: True where the task counts as over.
    """

    reward: Float64[np.ndarray, " frame"]
    ends: Bool[np.ndarray, " frame"]


def binary01_reward(length: int, *, success: bool) -> Float32[np.ndarray, " frame"]:
    """Return the reward of rule `binary01`: 1 on the last step of a success, else 0."""
    reward = np.zeros(length, dtype=np.float32)
    if success and length:
        reward[-1] = 1.0
    return reward


def binary01_rewards(length: int, *, success: bool, terminated: bool) -> RawRewards:
    """Return 1 on the last step of a success, else 0.

        G_t = gamma^(T-t) in a success, 0 in a failure; T is the last step

    A success ends the task, whatever the recording says of its end: with 1 earned nothing more can follow.
    """
    reward = binary01_reward(length, success=success).astype(np.float64)
    return RawRewards(reward, at_end(length, success or terminated))


def vgps_rewards(length: int, *, success: bool, terminated: bool, gamma: float) -> RawRewards:
    """Return -1 per step and 0 on the last three steps of a success, where nothing is bootstrapped.

        G_t = -(1 - gamma^n) / (1 - gamma),  n = max(0, T - 2 - t) steps to the goal, in a success
        G_t = -1 / (1 - gamma)               in a failure: it never gets there

    As in V-GPS (Nakamoto et al., arXiv 2410.13816), with gamma below 1. A failure goes on at -1 per step for ever,
    also one that terminated: were its last step worth -1 and nothing after it, ending early would be worth more than
    most successes. That step therefore carries the whole rest, -1 / (1 - gamma).
    """
    reward = np.full(length, -1.0)
    ends = at_end(length, terminated)
    if success:
        reward[-VGPS_GOAL_STEPS:] = 0.0
        ends[-VGPS_GOAL_STEPS:] = True
    elif terminated:
        reward[-1] = -1.0 / (1.0 - gamma)
    return RawRewards(reward, ends)


def recap_rewards(length: int, *, success: bool, failure_penalty: float) -> RawRewards:
    """Return -1 per step; on the last step 0 after a success and -C after a failure.

        G_t = -sum_{k < T-t} gamma^k - gamma^(T-t) * (0 or C)

    As in RECAP (pi*0.6, arXiv 2511.14759), which has gamma = 1. The outcome is charged at the end of the recording
    whatever cut it off, so every episode ends there and nothing is bootstrapped.

    Args:
        failure_penalty: C, in steps; as long as the longest episode it puts every failure below every success.
    """
    reward = np.full(length, -1.0)
    reward[-1] = 0.0 if success else -failure_penalty
    return RawRewards(reward, at_end(length, True))


def at_end(length: int, is_over: bool) -> Bool[np.ndarray, " frame"]:
    """Return flags of which at most the last one is set."""
    return (np.arange(length) == length - 1) & is_over
