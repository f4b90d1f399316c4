"""RewardScale: from the rewards of a task, in its own unit, to returns in [0, 1], and back.

    V' = (V - low) / (high - low)                                every value of every state
    r' = (r - (1 - gamma) * low) / (high - low)                  where the conversation goes on
    r' = (r - low) / (high - low)                                at the last action text of a terminated conversation

These rewards have the scaled values for every policy, so the best policy stays the best one. Shifting every reward by
a constant instead would pay for long conversations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vlm_qsft.data.return_mapping import ReturnMapping
from vlm_qsft.errors import InvalidSetting


@dataclass(frozen=True)
class RewardScale:
    """The reward rule `between`, with its two numbers.

    Attributes:
        low: no discounted return of any state is lower, in the task's own unit.
        high: none is higher.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            InvalidSetting: not low < high.
        """
        if not self.low < self.high:
            raise InvalidSetting(f"Returns lie between {self.low} and {self.high}; expected a smaller, then a larger.")

    @classmethod
    def of_costs(cls, n_turns: int, gamma: float) -> RewardScale:
        """Return the scale of games in which every turn but a right one costs 1, and which end after `n_turns`.

        The less a later turn counts, the wider apart are the values of a right turn and a wrong one.
        """
        return cls(-sum(gamma**turn for turn in range(n_turns)), 0.0)

    @property
    def name(self) -> str:
        """Return the rule as it is stored and named by errors: `between(-6, 0)`."""
        return f"between({self.low:g}, {self.high:g})"

    def scaled(
        self, reward: Float[np.ndarray, " turn"], *, gamma: float, is_last: Bool[np.ndarray, " turn"]
    ) -> Float[np.ndarray, " turn"]:
        """Return scaled rewards.

        Args:
            gamma: discount per turn.
            is_last: True where the conversation terminated with this action text.
        """
        return self._mapping.rewards(reward, is_last, gamma)

    def unscaled_value(self, value: float) -> float:
        """Return a value in the task's own unit."""
        return float(self._mapping.raw_returns(np.array([value]))[0])

    @property
    def _mapping(self) -> ReturnMapping:
        span = self.high - self.low
        return ReturnMapping(scale=1.0 / span, offset=-self.low / span)
