"""Mapping -> YAML with comments, as a person reviews it; `mapping_file` reads it back to an equal mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

import yaml

from qsft_datasets.mapping import Mapping
from qsft_datasets.yaml_entries import NUMBER, UNDECIDED

PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./\-]*")
"""Text that needs no quotes wherever it stands."""
WORDS = {"true", "false", "null", UNDECIDED}
ALWAYS_SHOWN = ("name", "format", "fps", "robot_type", "cameras", "state", "action", "outcome", "terminal_rule")
"""Top fields that are written even where they have their default."""
Comments = MappingType[tuple[str | int, ...], str]
"""Place in the record -> what is said beside it."""


class Undecided:
    """Stands in a record for what only a person can know."""

    def __repr__(self) -> str:
        return UNDECIDED


def mapping_text(mapping: Mapping, *, comments: Comments | None = None, header: str = "") -> str:
    """Return the mapping as a YAML file."""
    return record_text(record_of(mapping), comments=comments or {}, header=header)


def record_of(mapping: Mapping) -> dict[str, Any]:
    """Return the mapping as plain values, without fields that have their default."""
    record = _plain(mapping)
    for field in fields(mapping):
        if field.name in ALWAYS_SHOWN and field.name not in record:
            record[field.name] = _plain(getattr(mapping, field.name))
    return {field.name: record[field.name] for field in fields(mapping) if field.name in record}


def record_text(record: MappingType[str, Any], *, comments: Comments, header: str = "") -> str:
    """Return plain values, `Undecided` among them, as a YAML file."""
    lines = [f"# {in_one_line(line)}".rstrip() for line in header.split("\n")] if header else []
    lines += _block(record, comments, (), "")
    return "\n".join(lines) + "\n"


def scalar_text(value: Any) -> str:
    """Return a scalar as YAML that `yaml_entries` reads back to the same value."""
    if isinstance(value, Undecided):
        return UNDECIDED
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Fraction):
        return fps_text(value)
    if PLAIN.fullmatch(value) and value not in WORDS and not NUMBER.fullmatch(value):
        return value
    return yaml.dump(value, default_style='"', allow_unicode=True, width=float("inf"), Dumper=yaml.SafeDumper).strip()


def in_one_line(text: str) -> str:
    """Return a text of a source as a comment can hold it: YAML ends a line at U+0085 and U+2028 too."""
    return "".join(character if character.isprintable() else " " for character in text)


def fps_text(fps: Fraction) -> str:
    """Return a rate as people write it, exactly: 5, 12.5, 30000/1001."""
    if fps.denominator == 1:
        return str(fps.numerator)
    # Denominators of 2 and 5 alone have a finite decimal; three digits are what people write.
    return f"{float(fps):g}" if 1000 % fps.denominator == 0 and fps < 1000 else f"{fps.numerator}/{fps.denominator}"


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        pairs = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: _plain(part) for field, part in pairs if not _is_default(field, part)}
    if isinstance(value, MappingType):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def _is_default(field: Any, value: Any) -> bool:
    if isinstance(value, MappingType):
        return not value
    return type(value) is type(field.default) and value == field.default


def _block(record: MappingType[str, Any], comments: Comments, place: tuple[str | int, ...], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in record.items():
        here = (*place, key)
        head = f"{indent}{scalar_text(key)}:"
        said = f"  # {in_one_line(comments[here])}" if here in comments else ""
        if isinstance(value, MappingType) and value:
            lines += [head + said, *_block(value, comments, here, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], MappingType):
            lines.append(head + said)
            for number, part in enumerate(value):
                inner = _block(part, comments, (*here, number), indent + "    ")
                lines += [f"{indent}  - {inner[0].lstrip()}", *inner[1:]]
        else:
            lines.append(f"{head} {_flow(value)}{said}")
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, MappingType):
        return "{}"
    if isinstance(value, list):
        return f"[{', '.join(scalar_text(part) for part in value)}]"
    return scalar_text(value)
