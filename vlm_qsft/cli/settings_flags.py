"""Flags made from the fields of a settings record: `--learning-rate` for `learning_rate`."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from vlm_qsft.cli.arguments import CommandParser

_TYPES = {"int": int, "float": float, "str": str}


def add_settings_flags(parser: CommandParser, record: type, names: Iterable[str]) -> None:
    """Add one flag for each named field of a frozen dataclass; a flag that is not given changes nothing.

    The help of a flag is what the record's docstring says about the field.
    """
    annotations = {field.name: str(field.type) for field in fields(record)}
    meanings = attribute_meanings(record)
    for name in names:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=_TYPES.get(annotations[name], str),  # a choice of words is checked by the record
            default=argparse.SUPPRESS,
            help=meanings.get(name, "").replace("%", "%%"),
        )


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
