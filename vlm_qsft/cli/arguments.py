"""Command-line arguments whose mistakes are answered in one line that names what would have worked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vlm_qsft.errors import InvalidSetting, UnknownName

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

LARGEST_COUNT = 1_000_000
"""Of episodes, pixels, processes: beyond it a list of them alone fills the memory, and it is a slip of the hand."""


class CommandParser(argparse.ArgumentParser):
    """The arguments of one sub-command; raises errors of this library instead of printing the usage and exiting."""

    def __init__(self, command: str, *, description: str, epilog: str | None = None) -> None:
        self._flags: set[str] = {"--help"}
        super().__init__(
            prog=f"qsft {command}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=_HelpFormatter,
        )

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:  # type: ignore[override]
        """Add an argument as argparse does, and remember its flag for "did you mean"."""
        self._flags.update(name for name in names if name.startswith("--"))
        return super().add_argument(*names, **settings)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the parsed arguments.

        Raises:
            UnknownName: a flag that does not exist, or a choice that does not.
            InvalidSetting: an argument missing, left over, or of the wrong type.
        """
        namespace, left_over = self.parse_known_args(list(arguments))
        for word in left_over:
            if word.startswith("-"):
                raise UnknownName("flag", word.split("=")[0], self._flags, where=f"`{self.prog}`")
        if left_over:
            raise InvalidSetting(f"`{self.prog}` takes no argument '{left_over[0]}'. See `{self.prog} --help`.")
        return namespace

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help; argparse itself would not tell that nothing can be written there."""
        print(self.format_help(), end="", file=file)
        sys.stdout.flush()

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found.

        Raises:
            InvalidSetting: always.
        """
        raise InvalidSetting(f"`{self.prog}`: {message}. See `{self.prog} --help`.")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Names the default of a flag where there is one to name."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, "", ()):
            return action.help
        return super()._get_help_string(action)


def one_of(kind: str, names: Iterable[str]) -> Callable[[str], str]:
    """Return an argument type that accepts only `names`; anything else is an UnknownName error."""
    valid = tuple(names)

    def check(word: str) -> str:
        if word not in valid:
            raise UnknownName(kind, word, valid)
        return word

    return check


def positive_integer(word: str) -> int:
    """Return a whole number from 1 to LARGEST_COUNT.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not word.isdecimal() or len(word) > len(str(LARGEST_COUNT)) or not 1 <= int(word) <= LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1 (to {LARGEST_COUNT}), got '{word}'")
    return int(word)


def place(word: str) -> Path:
    """Return a path; `~` is the home folder, also behind an equals sign, where shells leave it.

    Raises:
        argparse.ArgumentTypeError: empty, as an unset variable of a shell is: it would mean the current folder.
    """
    if not word.strip():
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    try:
        return Path(word).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"'{word}': {error}") from error


def names(word: str) -> tuple[str, ...]:
    """Return the names in `first,second`.

    Raises:
        argparse.ArgumentTypeError: one is empty, or stands twice.
    """
    given = tuple(word.split(","))
    if not all(given) or len(set(given)) != len(given):
        raise argparse.ArgumentTypeError(f"expected NAME,NAME,... without repetition, got '{word}'")
    return given


def ranges(word: str) -> tuple[tuple[str, float, float], ...]:
    """Return the ranges in `name=low:high,...`; that low lies below high is checked where they are used.

    Raises:
        argparse.ArgumentTypeError: it does not read like that.
    """
    found = []
    for part in word.split(","):
        name, _, numbers = part.partition("=")
        low, _, high = numbers.partition(":")
        try:
            found.append((name, float(low), float(high)))
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected NAME=LOW:HIGH,..., got '{part}'") from error
    if not all(name for name, _, _ in found) or len({name for name, _, _ in found}) != len(found):
        raise argparse.ArgumentTypeError(f"expected NAME=LOW:HIGH,... without repetition, got '{word}'")
    return tuple(found)


def quality_shares(word: str) -> dict[str, float]:
    """Return `expert=0.2,noisy=0.8` as a mapping from the demonstrator's quality to its share of the episodes.

    Raises:
        argparse.ArgumentTypeError: it does not read like that. Which qualities exist is checked by the recorder.
    """
    shares: dict[str, float] = {}
    for part in word.split(","):
        name, equals, number = part.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if not equals or not name or name in shares or not 0.0 <= share <= 1.0:
            raise argparse.ArgumentTypeError(f"expected quality=share,... with shares from 0 to 1, got '{part}'")
        shares[name] = share
    if abs(sum(shares.values()) - 1.0) > 1e-6:
        raise argparse.ArgumentTypeError(f"the shares must add up to 1, got {sum(shares.values()):g}")
    return shares
