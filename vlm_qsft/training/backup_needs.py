"""Which tensors the backup of a run needs, and so what must be read, cached and computed for it."""

from __future__ import annotations

from typing import cast

from vlm_qsft.errors import UnknownName
from vlm_qsft.qsft import BACKUPS, REMAINDERS, Remainder
from vlm_qsft.qsft.critics import CRITICS
from vlm_qsft.training.settings import TrainSettings


def backup_needs(settings: TrainSettings, n_tokens: int) -> frozenset[str]:
    """Return the fields of `BackupInputs` that the backup reads for actions of so many tokens.

    Raises:
        UnknownName: no such backup or remainder.
    """
    if settings.method in CRITICS:
        return BACKUPS[CRITICS[settings.method].backup].needed("dummy", n_tokens)
    if settings.backup not in BACKUPS:
        raise UnknownName("backup", settings.backup, BACKUPS)
    if settings.remainder not in REMAINDERS:
        raise UnknownName("remainder", settings.remainder, REMAINDERS)
    return BACKUPS[settings.backup].needed(cast(Remainder, settings.remainder), n_tokens)


def needs_target_network(needs: frozenset[str]) -> bool:
    """Return whether any of the fields comes from the target network."""
    return bool(needs & {"log_p", "log_p_next"})


def value_needs_behavior(settings: TrainSettings) -> bool:
    """Return whether the value of a state is read with log pi_phi: `uniform` keeps none in the dummy token."""
    return settings.remainder == "uniform" and settings.method not in CRITICS


def needs_whole_distribution(settings: TrainSettings, n_tokens: int) -> bool:
    """Return whether log pi_phi of every bin is needed, not of the logged one alone."""
    return value_needs_behavior(settings) or bool(backup_needs(settings, n_tokens) & {"log_pi", "log_pi_next"})


def horizon(settings: TrainSettings, chunk: int) -> int:
    """Return the control steps before bootstrapping: `n_step` for the n-step backup, else one action chunk.

    An action is a chunk, and what follows an action is the state after all its steps.
    """
    return max(settings.n_step, chunk) if uses_n_steps(settings) else chunk


def uses_n_steps(settings: TrainSettings) -> bool:
    """Return whether the backup looks `n_step` control steps ahead."""
    return settings.backup == "nstep" and settings.method not in CRITICS
