"""Flags made from the fields of a settings record: `--learning-rate` for `learning_rate`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from vlm_qsft.cli.arguments import CommandParser

_TYPES = {"int": int, "float": float, "str": str}


def add_settings_flags(parser: CommandParser, record: type, names: Iterable[str]) -> None:
    """Add one flag for each named field of a frozen dataclass; a flag that is not given changes nothing."""
    annotations = {field.name: str(field.type) for field in fields(record)}
    for name in names:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=_TYPES[annotations[name]],
            default=argparse.SUPPRESS,
            help=f"{name.replace('_', ' ')}, instead of the preset's",
        )


def with_flags[Settings: Any](settings: Settings, arguments: argparse.Namespace, names: Iterable[str]) -> Settings:
    """Return the settings with what the user gave in flags; validated like any other.

    Raises:
        InvalidSetting: a value outside its range.
        UnknownName: a name that does not exist.
    """
    return replace(settings, **{name: getattr(arguments, name) for name in names if hasattr(arguments, name)})
