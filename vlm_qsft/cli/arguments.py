"""Command-line arguments whose mistakes are answered in one line that names what would have worked."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from vlm_qsft.errors import InvalidSetting, UnknownName


class CommandParser(argparse.ArgumentParser):
    """The arguments of one sub-command; raises errors of this library instead of printing the usage and exiting."""

    def __init__(self, command: str, *, description: str, epilog: str | None = None) -> None:
        self._flags: set[str] = {"--help"}
        super().__init__(
            prog=f"qsft {command}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
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

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found.

        Raises:
            InvalidSetting: always.
        """
        raise InvalidSetting(f"`{self.prog}`: {message}. See `{self.prog} --help`.")


def one_of(kind: str, names: Iterable[str]) -> Callable[[str], str]:
    """Return an argument type that accepts only `names`; anything else is an UnknownName error."""
    valid = tuple(names)

    def check(word: str) -> str:
        if word not in valid:
            raise UnknownName(kind, word, valid)
        return word

    return check


def positive_integer(word: str) -> int:
    """Return a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got '{word}'")
    return int(word)


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
