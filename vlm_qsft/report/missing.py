"""Reading what a run left behind, where any file may be absent, cut off, or not what it should be.

A report is also wanted of a run that was stopped half-way, so nothing here raises for the content of a file:
what cannot be shown becomes a `Missing` with its reason, and the page prints the reason in the place of the figure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Missing:
    """A part of the page that cannot be shown.

    Attributes:
        reason: one sentence for the reader of the page.
    """

    reason: str


@dataclass(frozen=True)
class JsonLines:
    """The objects of a JSON Lines file and how many of its lines could not be read (a killed run cuts the last)."""

    objects: tuple[dict[str, object], ...]
    unreadable: int


def read_json_object(path: Path, *, run_folder: Path) -> dict[str, object] | Missing:
    """Return the JSON object in `path`, or why there is none."""
    shown = path.relative_to(run_folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Missing(f"{shown} was not written by this run.")
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as problem:
        return Missing(f"{shown} cannot be read: {problem}.")
    if not isinstance(content, dict):
        return Missing(f"{shown} holds a {type(content).__name__}, expected an object.")
    return content


def read_json_lines(path: Path, *, run_folder: Path) -> JsonLines | Missing:
    """Return every readable object of a JSON Lines file, or why there is none."""
    shown = path.relative_to(run_folder)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return Missing(f"{shown} was not written by this run.")
    except OSError as problem:
        return Missing(f"{shown} cannot be read: {problem}.")
    objects: list[dict[str, object]] = []
    unreadable = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except json.JSONDecodeError:
            unreadable += 1
            continue
        if isinstance(content, dict):
            objects.append(content)
        else:
            unreadable += 1
    if not objects:
        return Missing(f"{shown} holds no readable line.")
    return JsonLines(tuple(objects), unreadable)


def as_number(content: object) -> float:
    """Return a number from JSON as float; anything else is NaN."""
    if isinstance(content, bool) or not isinstance(content, int | float):
        return float("nan")
    return float(content)
