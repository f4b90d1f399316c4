"""What was run, as name and text: `run.json` and the parts of `summary.json` that are no result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LONGEST_LIST = 12  # entries of a list that are written out


@dataclass(frozen=True)
class FactGroup:
    """Facts under one heading.

    Attributes:
        title: the heading.
        facts: name and text; nested names are joined by a dot.
    """

    title: str
    facts: tuple[tuple[str, str], ...]


def group_facts(content: Mapping[str, object], *, first_title: str) -> list[FactGroup]:
    """Return a JSON object as groups: its nested objects by their own name, what lies at the top under `first_title`.

    Nothing is left out, so a setting that this page has never heard of is shown too.
    """
    plain = tuple((name, write_fact(name, value)) for name, value in content.items() if not isinstance(value, dict))
    groups = [FactGroup(first_title, plain)] if plain else []
    for name, value in content.items():
        if isinstance(value, dict) and value:
            groups.append(FactGroup(name.replace("_", " "), tuple(_flatten(value, prefix=""))))
    return groups


def write_fact(name: str, value: object) -> str:
    """Return a fact as text; a name that ends in `_s` or `_gb` says its unit."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int | float):
        if name.endswith("_s"):
            return write_duration(float(value))
        unit = " GB" if name.endswith("_gb") else ""
        return f"{value:.6g}{unit}" if isinstance(value, float) else f"{value}{unit}"
    if isinstance(value, list):
        shown = ", ".join(one if isinstance(one, str) else json.dumps(one) for one in value[:LONGEST_LIST])
        return shown + (f", … ({len(value)} in all)" if len(value) > LONGEST_LIST else "")
    return str(value)


def label(name: str) -> str:
    """Return a fact's name for people; the unit at its end stands beside the number already."""
    return name.removesuffix("_s").removesuffix("_gb").replace("_", " ")


def write_duration(seconds: float) -> str:
    """Return seconds as a person says them: `42 s`, `12 min 5 s`, `1 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _flatten(content: Mapping[str, object], *, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        full = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flatten(value, prefix=f"{full}.")
        else:
            yield full, write_fact(name, value)
