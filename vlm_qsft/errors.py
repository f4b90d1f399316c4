"""Errors that a user can cause, built from facts: expected, got, remedy, alternatives.

Every error of the library derives from `QsftError`. The command line prints its one line on stderr and ends with
status 2. Nothing else is caught there: any other exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class QsftError(Exception):
    """Root of every error that has a remedy outside this library."""


class UnknownName(QsftError):
    """A name that is not among the valid ones; lists them and the nearest."""

    def __init__(self, kind: str, name: str, valid: Iterable[str], *, where: str = "") -> None:
        """Build `Camera 'wrist' is not in this dataset. Valid: front, top. Did you mean 'front'?`

        Args:
            kind: what is named, a singular noun: "camera", "preset".
            name: what the user wrote.
            valid: every name that would have worked.
            where: the thing that knows the names: "this dataset"; left out when empty.
        """
        names = sorted(valid)
        place = f" in {where}" if where else ""
        text = f"{kind.capitalize()} '{name}' is not known{place}. Valid: {', '.join(names) or 'none'}."
        near = get_close_matches(name, names, n=1)
        if near:
            text += f" Did you mean '{near[0]}'?"
        super().__init__(text)
        self.name, self.valid = name, names

    def __reduce__(self) -> tuple:
        # Between processes an exception is rebuilt from its text, which is not what __init__ takes.
        return _restored, (type(self), str(self), self.__dict__)


def _restored(kind: type[UnknownName], text: str, fields: dict) -> UnknownName:
    error = kind.__new__(kind, text)
    error.__dict__.update(fields)
    return error


class InvalidSetting(QsftError):
    """A setting outside its range, or two that contradict each other."""


class ShapeMismatch(QsftError):
    """An array whose shape or type is not the declared one."""


class NotFinite(QsftError):
    """NaN or infinity where a number is needed."""


class DatasetError(QsftError):
    """A data set that cannot be read, is incomplete, or contradicts its own metadata."""


class CheckpointError(QsftError):
    """A checkpoint folder that is partial, foreign, of another version, or altered."""


class TargetOutOfRange(QsftError):
    """A Q-SFT target left [0, 1]: the rewards are not scaled (ALGORITHM: every return lies in [0, 1])."""


class StorageError(QsftError):
    """Nothing could be written: disk full, no permission."""


class InUse(StorageError):
    """Another process writes this folder or file now."""


class RenderingUnavailable(QsftError):
    """No OpenGL back end, and the caller did not allow the ray caster."""


class MissingDependency(QsftError):
    """An optional package that the asked-for function needs is not installed."""


class CommandRefused(QsftError):
    """The controller does not activate or resume: a stale input, an arm outside its limits, a latched stop."""


class WorkerLost(QsftError):
    """A worker process was killed from outside; what it had completed is kept."""
