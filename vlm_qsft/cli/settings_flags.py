"""Flags made from the fields of a settings record: `--learning-rate` for `learning_rate`."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vlm_qsft.cli.arguments import CommandParser, one_of

POLICY_FLAGS = (
    "extraction", "temperature", "inverse_temperature", "support", "candidates", "repeats", "symmetries",
)  # fmt: skip
"""What of the policy settings is chosen where a policy is used."""


def add_settings_flags(parser: CommandParser | argparse._ArgumentGroup, record: type, names: Iterable[str]) -> None:
    """Add one flag for each named field of a frozen dataclass; a flag that is not given changes nothing.

    The help of a flag is what the record's docstring says about the field.
    """
    hints = get_type_hints(record)
    meanings = attribute_meanings(record)
    for name in names:
        parser.add_argument(
            flag_name(name),
            dest=name,
            **_parsed(hints[name], name),
            default=argparse.SUPPRESS,
            help=meanings.get(name, "").replace("%", "%%"),
        )


def flag_name(name: str) -> str:
    """Return what a user types for a field: `--learning-rate` for `learning_rate`."""
    return f"--{name.replace('_', '-')}"


def _parsed(hint: Any, name: str) -> dict[str, Any]:
    return {"action": argparse.BooleanOptionalAction} if hint is bool else {"type": _argument_type(hint, name)}


def _argument_type(hint: Any, name: str) -> Callable[[str], Any]:
    return one_of(name.replace("_", " "), get_args(hint)) if get_origin(hint) is Literal else hint


def attribute_meanings(record: type) -> dict[str, str]:
    """Return what the `Attributes:` section of a class's docstring says, by name."""
    section = inspect.cleandoc(record.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def with_flags[Settings: Any](settings: Settings, arguments: argparse.Namespace, names: Iterable[str]) -> Settings:
    """Return the settings with what the user gave in flags; validated like any other.

    Raises:
        InvalidSetting: a value outside its range.
        UnknownName: a name that does not exist.
    """
    return replace(settings, **{name: getattr(arguments, name) for name in names if hasattr(arguments, name)})
