"""The backups by name, each with the tensors that it needs.

A trainer fills the fields of `BackupInputs` that `Backup.needs` names and calls `Backup.targets`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.qsft.backups import behavior_targets, max_targets, monte_carlo_targets, nstep_targets
from vlm_qsft.qsft.remainder import REMAINDERS, Remainder, behavior_value

BackupName = Literal["monte_carlo", "nstep", "behavior", "max"]


@dataclass(frozen=True)
class BackupInputs:
    """What backups are computed from, one row per transition; a field that the backup does not need stays None.

    Attributes:
        n_tokens: tokens per action.
        returns: Monte-Carlo return from this control step on.
        reward: discounted sum of the rewards of the k <= n steps up to the bootstrap state; n is 1 but for `nstep`.
        discount: gamma**k.
        bootstrap_mask: False where the episode terminated within the k steps; True where it was truncated.
        log_p_next: target network, first token at the bootstrap state.
        log_pi_next: behavior policy, first token at the bootstrap state.
        log_p: target network at this state, given the logged tokens before each position; not read where an action is
            one token.
        log_pi: behavior policy there; likewise.
    """

    n_tokens: int
    returns: Float[Tensor, " batch"] | None = None
    reward: Float[Tensor, " batch"] | None = None
    discount: Float[Tensor, " batch"] | None = None
    bootstrap_mask: Bool[Tensor, " batch"] | None = None
    log_p_next: Float[Tensor, "batch bins_and_dummy"] | None = None
    log_pi_next: Float[Tensor, "batch n_bins"] | None = None
    log_p: Float[Tensor, "batch token bins_and_dummy"] | None = None
    log_pi: Float[Tensor, "batch token n_bins"] | None = None


@dataclass(frozen=True)
class BackupSettings:
    """How targets are computed.

    Attributes:
        remainder: what p_theta was trained with; it decides where the behavior value is read.
        support: bins with pi_phi >= support / n_bins compete in the maximum; in [0, 1].
        clip: cap likelihood ratios at 1 in the maximum.
        reward_rule: name of the rule that scaled the rewards into [0, 1].
    """

    remainder: Remainder
    support: float
    clip: bool
    reward_rule: str

    def __post_init__(self) -> None:
        if self.remainder not in REMAINDERS:
            raise UnknownName("remainder", self.remainder, REMAINDERS)
        if not 0.0 <= self.support <= 1.0:
            raise InvalidSetting(f"support is {self.support}; expected a number in [0, 1].")


@dataclass(frozen=True)
class Backup:
    """A named backup.

    Attributes:
        name: as in `BACKUPS`.
        needs: fields of `BackupInputs` it reads when p_theta is trained with the `dummy` remainder.
        needs_uniform: the same with the `uniform` remainder, whose values also need pi_phi.
        function: the backup itself; call `targets`, which checks the inputs.
    """

    name: BackupName
    needs: frozenset[str]
    needs_uniform: frozenset[str]
    function: Callable[[BackupInputs, BackupSettings], Tensor]

    def needed(self, remainder: Remainder, n_tokens: int) -> frozenset[str]:
        """Return the fields of `BackupInputs` that it reads; an action of one token has no state inside it."""
        needed = self.needs_uniform if remainder == "uniform" else self.needs
        return needed - _INSIDE_ACTION if n_tokens == 1 else needed

    def targets(self, inputs: BackupInputs, settings: BackupSettings) -> Float[Tensor, "batch token"]:
        """Return the label weight of every logged token, in [0, 1], without gradient.

        Raises:
            InvalidSetting: a needed field of `inputs` is None.
            TargetOutOfRange, NotFinite: see `checked_targets`.
        """
        needed = self.needed(settings.remainder, inputs.n_tokens)
        missing = sorted(name for name in needed if getattr(inputs, name) is None)
        if missing:
            raise InvalidSetting(
                f"The backup '{self.name}' with the remainder '{settings.remainder}' needs "
                f"{', '.join(sorted(needed))}; missing: {', '.join(missing)}."
            )
        with torch.no_grad():
            return self.function(inputs, settings)


def _monte_carlo(inputs: BackupInputs, settings: BackupSettings) -> Tensor:
    return monte_carlo_targets(cast(Tensor, inputs.returns), inputs.n_tokens, reward_rule=settings.reward_rule)


def _nstep(inputs: BackupInputs, settings: BackupSettings) -> Tensor:
    return nstep_targets(
        cast(Tensor, inputs.reward),
        cast(Tensor, inputs.discount),
        cast(Tensor, inputs.bootstrap_mask),
        next_value=behavior_value(cast(Tensor, inputs.log_p_next), inputs.log_pi_next, settings.remainder),
        n_tokens=inputs.n_tokens,
        reward_rule=settings.reward_rule,
    )


def _behavior(inputs: BackupInputs, settings: BackupSettings) -> Tensor:
    return behavior_targets(
        cast(Tensor, inputs.reward),
        cast(Tensor, inputs.discount),
        cast(Tensor, inputs.bootstrap_mask),
        next_value=behavior_value(cast(Tensor, inputs.log_p_next), inputs.log_pi_next, settings.remainder),
        prefix_values=behavior_value(*_at_prefixes(inputs), settings.remainder),
        reward_rule=settings.reward_rule,
    )


def _max(inputs: BackupInputs, settings: BackupSettings) -> Tensor:
    log_p, log_pi = _at_prefixes(inputs)
    return max_targets(
        cast(Tensor, inputs.reward),
        cast(Tensor, inputs.discount),
        cast(Tensor, inputs.bootstrap_mask),
        log_p_next=cast(Tensor, inputs.log_p_next),
        log_pi_next=cast(Tensor, inputs.log_pi_next),
        log_p=log_p,
        log_pi=cast(Tensor, log_pi),
        support=settings.support,
        clip=settings.clip,
        reward_rule=settings.reward_rule,
    )


def _at_prefixes(inputs: BackupInputs) -> tuple[Tensor, Tensor | None]:
    """Return log_p and log_pi; where an action is one token their only column is never read, and anything fills it."""
    if inputs.n_tokens == 1:
        log_pi = inputs.log_pi_next
        return cast(Tensor, inputs.log_p_next)[:, None], None if log_pi is None else log_pi[:, None]
    return cast(Tensor, inputs.log_p), inputs.log_pi


_INSIDE_ACTION = frozenset({"log_p", "log_pi"})
_STEP = frozenset({"reward", "discount", "bootstrap_mask", "log_p_next"})
_MAX = _STEP | {"log_p", "log_pi", "log_pi_next"}

BACKUPS: dict[str, Backup] = {
    backup.name: backup
    for backup in (
        Backup("monte_carlo", frozenset({"returns"}), frozenset({"returns"}), _monte_carlo),
        Backup("nstep", _STEP, _STEP | {"log_pi_next"}, _nstep),
        Backup("behavior", _STEP | {"log_p"}, _MAX, _behavior),
        Backup("max", _MAX, _MAX, _max),
    )
}
