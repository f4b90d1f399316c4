"""LabelSettings: the reward rule of a data set, its discount, and how its returns were mapped into [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from vlm_qsft.data.return_mapping import IDENTITY, ReturnMapping
from vlm_qsft.data.returns import RETURN_TOLERANCE, discounted_sums
from vlm_qsft.data.reward_rules import REWARD_RULES, RawRewards, binary01_rewards, recap_rewards, vgps_rewards
from vlm_qsft.errors import InvalidSetting, UnknownName

GAMMA_FREE_RULES = ("binary01", "vgps")
"""Rules whose mapped rewards do not depend on gamma: 0 on the way, 1 at the goal."""


@dataclass(frozen=True)
class LabelSettings:
    """How the labels of a data set came about; stored beside the data in meta/labels.json.

    Attributes:
        reward_rule: a name of REWARD_RULES.
        gamma: discount per control step of the Monte-Carlo return, in (0, 1]; below 1 for `vgps`.
        source: who decided on success: "simulator", "operator", "path", "assumed", ...
        failure_penalty: C of rule `recap`, in steps.
        longest: frames of the longest episode, for rule `recap`; 0 where it is not known yet.
        lowest_return, highest_return: of rule `keep`: the raw returns that become 0 and 1.
    """

    reward_rule: str
    gamma: float
    source: str
    failure_penalty: float = 0.0
    longest: int = 0
    lowest_return: float = 0.0
    highest_return: float = 1.0

    def __post_init__(self) -> None:
        if self.reward_rule not in REWARD_RULES:
            raise UnknownName("reward rule", self.reward_rule, REWARD_RULES)
        if not 0.0 < self.gamma <= 1.0:
            raise InvalidSetting(f"gamma is {self.gamma}; expected a discount per control step in (0, 1].")
        if self.reward_rule == "vgps" and self.gamma == 1.0:
            raise InvalidSetting("Rule 'vgps' needs gamma below 1: a failure costs -1 per step for ever.")
        if not 0.0 <= self.failure_penalty < float("inf") or self.longest < 0:
            raise InvalidSetting(
                f"The failure penalty is {self.failure_penalty} and the longest episode {self.longest} frames; "
                "expected numbers of steps from 0 on."
            )
        if self.lowest_return >= self.highest_return:
            raise InvalidSetting(f"Returns from {self.lowest_return} to {self.highest_return} cannot be scaled.")

    @property
    def return_mapping(self) -> ReturnMapping:
        """The map of the rule's raw returns into [0, 1].

            binary01   G' = G
            vgps       G' = 1 + (1 - gamma) G         G lies in [-1 / (1 - gamma), 0]
            recap      G' = 1 + G / W                 G lies in [-W, 0]
            keep       G' = (G - low) / (high - low)

        W is the worst return of an episode of at most N frames, N the longest: of a failure of N frames, or of one
        frame where C is larger than the sum of all steps that could follow,
        W = max(C, (1 - gamma^(N-1)) / (1 - gamma) + gamma^(N-1) C), which is N - 1 + C for gamma = 1.

        Raises:
            InvalidSetting: rule `recap` without the length of the longest episode.
        """
        if self.reward_rule == "vgps":
            return ReturnMapping(scale=1.0 - self.gamma, offset=1.0)
        if self.reward_rule == "recap":
            if not self.longest:
                raise InvalidSetting(
                    "Rule 'recap' normalises by the longest episode, which is known only when all are there. "
                    "Label by 'binary01' first, then run `qsft label FOLDER --rule recap`."
                )
            return ReturnMapping(scale=1.0 / worst_recap_return(self), offset=1.0)
        if self.reward_rule == "keep":
            scale = 1.0 / (self.highest_return - self.lowest_return)
            return ReturnMapping(scale=scale, offset=0.0 - self.lowest_return * scale)
        return IDENTITY

    def raw_rewards(self, length: int, *, success: bool, terminated: bool) -> RawRewards:
        """Return what the rule says of an episode, unscaled.

        Raises:
            InvalidSetting: rule `keep`, which has no rewards of its own.
        """
        if self.reward_rule == "binary01":
            return binary01_rewards(length, success=success, terminated=terminated)
        if self.reward_rule == "vgps":
            return vgps_rewards(length, success=success, terminated=terminated, gamma=self.gamma)
        if self.reward_rule == "recap":
            return recap_rewards(length, success=success, failure_penalty=self.failure_penalty)
        raise InvalidSetting("Rule 'keep' takes the rewards of the source; there are none to compute.")

    def to_record(self) -> dict[str, Any]:
        """Return the fields that the rule uses, and the mapping of its returns, for JSON."""
        record: dict[str, Any] = {"reward_rule": self.reward_rule, "gamma": self.gamma, "source": self.source}
        if self.reward_rule == "recap":
            record |= {"failure_penalty": self.failure_penalty, "longest": self.longest}
        if self.reward_rule == "keep":
            record |= {"lowest_return": self.lowest_return, "highest_return": self.highest_return}
        mapping = self.return_mapping
        return record | {"return_mapping": {"scale": mapping.scale, "offset": mapping.offset}}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> LabelSettings:
        """Read what `to_record` wrote; the mapping follows from the other fields.

        Raises:
            KeyError, TypeError, ValueError: no such record.
            UnknownName, InvalidSetting: a rule or a number that this version does not know.
        """
        numbers = ("failure_penalty", "lowest_return", "highest_return")
        return cls(
            reward_rule=str(record["reward_rule"]),
            gamma=float(record["gamma"]),
            source=str(record["source"]),
            longest=int(record.get("longest", 0)),
            **{name: float(record[name]) for name in numbers if name in record},
        )


def worst_recap_return(labels: LabelSettings) -> float:
    """Return W of `LabelSettings.return_mapping`: minus the lowest return that an episode can have."""
    gamma, steps = labels.gamma, labels.longest - 1
    on_the_way = float(steps) if gamma == 1.0 else (1.0 - gamma**steps) / (1.0 - gamma)
    # An episode of one frame that succeeds costs nothing: any scale fits then.
    return max(labels.failure_penalty, on_the_way + gamma**steps * labels.failure_penalty) or 1.0


def keep_labels(
    reward: Float[np.ndarray, " frame"],
    terminated: Bool[np.ndarray, " frame"],
    lengths: np.ndarray,
    *,
    gamma: float,
    source: str,
) -> LabelSettings:
    """Return the labels of rule `keep`: the narrowest mapping that brings the returns of these rewards into [0, 1].

    Rewards whose returns lie there already are not touched. Else `highest_return` is the largest return and
    `lowest_return` the smallest one. After a cut the worst return follows, so that an episode of n frames that was cut
    off counts S + gamma^n * low, S being the sum of its own rewards: low may be at most S / (1 - gamma^n).

    Args:
        reward: of the source, all frames.
        terminated: True where nothing is bootstrapped.
        lengths: frames per episode.
    Raises:
        InvalidSetting: gamma = 1 and a negative sum of rewards before a cut: the worst return has no bound.
    """
    sums = discounted_sums(reward, lengths, gamma, terminated=terminated)
    if sums.size == 0 or (sums.min() >= -RETURN_TOLERANCE and sums.max() <= 1.0 + RETURN_TOLERANCE):
        return LabelSettings("keep", gamma, source)
    is_cut = np.repeat(~terminated[np.cumsum(lengths) - 1], lengths)
    steps_left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(reward))
    after_cut = np.where(is_cut, gamma**steps_left, 0.0)
    if gamma == 1.0 and (sums[is_cut] < 0.0).any():
        episode = int(np.searchsorted(np.cumsum(lengths), np.flatnonzero(is_cut & (sums < 0.0))[0], side="right"))
        raise InvalidSetting(
            f"Episode {episode} was cut off with a negative sum of rewards: with gamma = 1 what could follow has no "
            "bound. Use a gamma below 1, or rule 'recap'."
        )
    bounded = after_cut < 1.0
    low = float(np.min(sums[bounded] / (1.0 - after_cut[bounded]), initial=np.inf))
    # With gamma = 1 and nothing but cuts, every sum is at least 0: nothing worse than 0 can follow.
    low = min(low, 0.0) if not bounded.all() else low
    high = float(np.max(sums + after_cut * low))
    return LabelSettings("keep", gamma, source, lowest_return=low, highest_return=high if high > low else low + 1.0)


def rewards_for_gamma(
    labels: LabelSettings,
    gamma: float,
    *,
    reward: Float32[np.ndarray, " frame"],
    terminated: Bool[np.ndarray, " frame"],
    lengths: np.ndarray,
) -> Float32[np.ndarray, " frame"]:
    """Return the mapped rewards as the data set would have them if it had been labelled with another gamma.

    Args:
        reward, terminated: stored columns `next.reward` and `next.terminated`, all frames.
        lengths: frames per episode.
    Raises:
        InvalidSetting: see `keep_labels`.
    """
    if gamma == labels.gamma or labels.reward_rule in GAMMA_FREE_RULES:
        return reward
    raw: Float64[np.ndarray, " frame"] = labels.return_mapping.raw_rewards(reward, terminated, labels.gamma)
    if labels.reward_rule == "keep":
        changed = keep_labels(raw, terminated, lengths, gamma=gamma, source=labels.source)
    else:
        changed = replace(labels, gamma=gamma)
    return changed.return_mapping.rewards(raw, terminated, gamma).astype(np.float32)
