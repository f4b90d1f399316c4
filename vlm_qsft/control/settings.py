"""The timing of the controller and the level of value below which it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from vlm_qsft.errors import InvalidSetting, UnknownName

WhileThinking = Literal["wait", "continue"]


@dataclass(frozen=True)
class ControlSettings:
    """Settings of one controller.

    Attributes:
        period_s: nominal time between two control ticks, seconds. No tick moves the arm farther than this allows.
        step_s: duration of one step of an action chunk, seconds: 1 / fps of the data set.
        execute_steps: steps of a chunk that are executed before the next observation is asked for.
        while_thinking: "wait": the arm arrives and rests, the new chunk starts when it arrives, as in the simulator.
            "continue": the rest of the old chunk goes on, the new one is placed at the time of its observation and the
            steps that have passed since are left out.
        decision_timeout_s: the longest wait for a decision, seconds; after that the arm holds.
        max_tick_gap_s: two ticks farther apart than this mean that the loop was stopped, seconds.
        min_value: a decision of lower value makes the arm hold; None to switch off.
    """

    period_s: float
    step_s: float
    execute_steps: int = 1
    while_thinking: WhileThinking = "wait"
    decision_timeout_s: float = 1.0
    max_tick_gap_s: float = 0.5
    min_value: float | None = None

    def __post_init__(self) -> None:
        """Raises InvalidSetting, UnknownName: a time or number outside its range."""
        for field in ("period_s", "step_s", "decision_timeout_s", "max_tick_gap_s"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise InvalidSetting(f"{field} must be a positive number of seconds, got {value}.")
        if self.execute_steps < 1:
            raise InvalidSetting(f"execute_steps must be 1 or more, got {self.execute_steps}.")
        if self.while_thinking not in get_args(WhileThinking):
            raise UnknownName("while_thinking", self.while_thinking, get_args(WhileThinking))
        if self.max_tick_gap_s < self.period_s:
            raise InvalidSetting(f"max_tick_gap_s {self.max_tick_gap_s} must not be below period_s {self.period_s}.")
        if self.min_value is not None and not 0 <= self.min_value <= 1:
            raise InvalidSetting(f"min_value must lie in [0, 1] like every value, got {self.min_value}.")
