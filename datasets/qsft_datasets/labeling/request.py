"""LabelRequest: what a user asks of `qsft label`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vlm_qsft.data.reward_rules import REWARD_RULES
from vlm_qsft.errors import InvalidSetting, UnknownName

OUTCOMES = {
    "flag": "what was recorded: the success column of the data set",
    "path": "the episode's key or path: names a success or a failure",
    "reward": "the rewards of the source: at least the threshold is a success",
    "csv": "a CSV file: episode_index or key, success, optionally terminated",
    "review": "a person who looks at the last frames in a local web page",
    "assume-success": "every episode that nothing else decides is a success",
    "assume-failure": "every episode that nothing else decides is a failure",
}

Where = Literal["last", "any"]


@dataclass(frozen=True)
class OutcomeRequest:
    """Who may decide on success. Of several the first in the order of OUTCOMES decides, episode by episode.

    Attributes:
        sources: names of OUTCOMES; none keeps the outcomes that the data set has.
        csv: file for "csv".
        flag: column for "flag"; None takes what was recorded.
        pattern: regular expression for "path": a match is a success, everything else a failure. None looks for the
            words success and fail and leaves an episode undecided that has both or neither.
        threshold: smallest reward (or flag that is a number) of a success.
        where: whether it counts on the last step or on any step.
    """

    sources: tuple[str, ...] = ()
    csv: Path | None = None
    flag: str | None = None
    pattern: str | None = None
    threshold: float = 0.5
    where: Where = "last"

    def __post_init__(self) -> None:
        for name in self.sources:
            if name not in OUTCOMES:
                raise UnknownName("outcome", name, OUTCOMES)
        if {"assume-success", "assume-failure"} <= set(self.sources):
            raise InvalidSetting("An episode cannot be assumed a success and a failure: choose one.")
        if ("csv" in self.sources) != (self.csv is not None):
            raise InvalidSetting("The outcome 'csv' needs its file: --outcome csv FILE.")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise InvalidSetting(f"'{self.pattern}' is no regular expression: {error}.") from error


@dataclass(frozen=True)
class LabelRequest:
    """How a data set shall be labelled; None keeps what the data set has.

    Attributes:
        rule: a name of REWARD_RULES.
        gamma: discount per control step; a data set without one gets DEFAULT_GAMMA.
        outcome: who decides on success.
        failure_penalty: C of rule `recap`, in steps; None is the length of the longest episode.
        counterfactual: share of the successful episodes that get a copy under a wrong instruction; 0 removes them.
        seed: of the choice of these episodes and instructions.
    """

    rule: str | None = None
    gamma: float | None = None
    outcome: OutcomeRequest = field(default_factory=OutcomeRequest)
    failure_penalty: float | None = None
    counterfactual: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.rule is not None and self.rule not in REWARD_RULES:
            raise UnknownName("reward rule", self.rule, REWARD_RULES)
        if self.counterfactual is not None and not 0.0 <= self.counterfactual <= 1.0:
            raise InvalidSetting(f"The share of counterfactuals is {self.counterfactual}; expected 0 to 1.")


DEFAULT_GAMMA = 0.97
"""Discount of data sets that have none yet: what training takes unless told otherwise."""
