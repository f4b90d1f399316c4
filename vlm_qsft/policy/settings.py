"""How a policy is read out of a trained checkpoint: settings of the policy, never of the training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.settings_record import settings_from_json

POLICY_FILE = "policy.json"
"""Where the chosen settings stand beside the checkpoint's own files."""

MOST_CANDIDATES = 1024
"""Beyond it a decision takes minutes; as a number of candidates it is a slip."""

ExtractionChoice = Literal["sft", "ratio", "likelihood", "power", "single"]


@dataclass(frozen=True)
class PolicySettings:
    """The knobs of policy extraction; `vlm_qsft.qsft.extraction` has the formulas.

    Attributes:
        extraction: "sft": pi_phi alone. "ratio": pi_phi tilted by Q = p_theta / pi_phi. "likelihood": pi_phi tilted by
            p_theta, as printed in the paper. "power": pi_phi times a power of p_theta / pi_phi. "single": p_theta
            alone, one network.
        temperature: on pi_phi, for "single" on p_theta; 0 is greedy.
        inverse_temperature: weight of the Q-values in "ratio" and "likelihood", exponent in "power"; 0 is SFT. The
            others do not use it.
        support: a bin competes when its probability is at least this multiple of the uniform one, or the largest. 0.3
            is what robots use: below it the ratio divides by almost nothing. Above 1 it suits vocabularies most of
            whose words are never right.
        candidates: actions drawn for one decision, of which the most likely as a whole is taken; see
            `vlm_qsft.policy.candidates`. 1 takes what is drawn.
        repeats: whether an action text may be said again in a state in which it was said before. Where what is refused
            changes nothing, as an illegal move, a greedy policy otherwise says it for ever; and where a game comes back
            to a position, it goes round in circles. Text alone.
        symmetries: whether a state is read in every way in which its game can be seen, as a chess board from all sides,
            and the means of all log-probabilities count. Text alone.
    """

    extraction: ExtractionChoice = "ratio"
    temperature: float = 0.5
    inverse_temperature: float = 16.0
    support: float = 0.3
    candidates: int = 1
    repeats: bool = True
    symmetries: bool = False

    def __post_init__(self) -> None:
        """Raises UnknownName, InvalidSetting: no such extraction, or a number outside its range."""
        if self.extraction not in get_args(ExtractionChoice):
            raise UnknownName("extraction", self.extraction, get_args(ExtractionChoice))
        for name in ("temperature", "inverse_temperature", "support"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InvalidSetting(f"{name} is {value}; expected a finite number >= 0.")
        if type(self.candidates) is not int or not 1 <= self.candidates <= MOST_CANDIDATES:
            raise InvalidSetting(
                f"candidates is {self.candidates!r}; expected a whole number from 1 to {MOST_CANDIDATES}."
            )
        for name in ("repeats", "symmetries"):
            if type(getattr(self, name)) is not bool:
                raise InvalidSetting(f"{name} is {getattr(self, name)!r}; expected true or false.")
        if self.candidates > 1 and self.temperature == 0:
            raise InvalidSetting(
                f"{self.candidates} candidates at temperature 0 are all the same one: give a temperature above 0."
            )

    @property
    def needs_behavior(self) -> bool:
        """Tell whether pi_phi decides with it."""
        return self.extraction != "single"

    @property
    def needs_q_model(self) -> bool:
        """Tell whether p_theta decides with it."""
        return self.extraction != "sft"

    @property
    def of_games(self) -> str | None:
        """Return a setting of text games, which neither robots nor `generate` know; None where there is none."""
        return "repeats=False" if not self.repeats else "symmetries=True" if self.symmetries else None

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values, the content of policy.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PolicySettings:
        """Rebuild settings from `to_json`; raises as `settings_from_json`."""
        return settings_from_json(cls, document, what="policy setting")
