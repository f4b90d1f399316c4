"""What was run, as name and text: `run.json` and the parts of `summary.json` that are no result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SPOKEN = {"wall_s": "wall time", "peak_rss_gb": "peak memory"}
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
    """Return a JSON object as groups, one for every object in it, what lies at the top under `first_title`.

    Nothing is left out, so a setting that this page has never heard of is shown too. Objects of equal content share a
    group whose title names them all.
    """
    by_facts: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for title, facts in _groups(content, title=first_title, path=()):
        by_facts.setdefault(facts, []).append(title)
    return [FactGroup(_join_titles(titles), facts) for facts, titles in by_facts.items()]


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
        entries = [_write_entry(one) for one in value[:LONGEST_LIST]]
        rest = [f"… ({len(value)} in all)"] if len(value) > LONGEST_LIST else []
        return ("\n" if any(isinstance(one, dict) for one in value) else ", ").join(entries + rest)
    return str(value)


def label(name: str) -> str:
    """Return a fact's name for people; the unit at its end stands beside the number already."""
    return _SPOKEN.get(name) or name.removesuffix("_s").removesuffix("_gb").replace("_", " ")


def write_duration(seconds: float) -> str:
    """Return seconds as a person says them: `42 s`, `12 min 5 s`, `1 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _write_entry(entry: object) -> str:
    """Return an entry of a list: `expert 0.15` for a pair, `extraction sft, temperature 0.5` for an object."""
    if isinstance(entry, dict):
        return ", ".join(f"{label(name)} {write_fact(name, value)}" for name, value in entry.items())
    if isinstance(entry, list):
        return " ".join(write_fact("", one) for one in entry)
    return write_fact("", entry)


def _groups(
    content: Mapping[str, object], *, title: str, path: tuple[str, ...]
) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    plain = tuple((name, write_fact(name, value)) for name, value in content.items() if not isinstance(value, dict))
    if plain:
        yield title, plain
    for name, value in content.items():
        if isinstance(value, dict):
            inner = (*path, name.replace("_", " "))
            yield from _groups(value, title=" · ".join(inner), path=inner)


def _join_titles(titles: list[str]) -> str:
    """Return `settings · behavior, q` for `settings · behavior` and `settings · q`."""
    heads = {title.rpartition(" · ")[0] for title in titles}
    if len(titles) == 1 or len(heads) > 1 or "" in heads:
        return ", ".join(titles)
    return f"{heads.pop()} · {', '.join(title.rpartition(' · ')[2] for title in titles)}"
