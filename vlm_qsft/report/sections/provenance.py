"""What was run: command, settings, versions, seeds, wall time."""

from __future__ import annotations

from collections.abc import Mapping

from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.facts import FactGroup, group_facts, label
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.sections.block import draw_missing, draw_section

AT_THE_END = {"commit": "commit at the end"}  # run.json has that of the beginning
SHOWN_ABOVE = frozenset({"policies", "comparisons", "data"})
FIRST_TITLES = ("command", "seeds", "measured", "stages", "machine", "versions")
"""Groups in the order of what a reader asks first; settings follow in their own order."""


def draw_provenance(run: Mapping[str, object] | Missing, summary: Mapping[str, object] | Missing) -> str:
    """Return the section that lets someone else run the same: everything in run.json, the rest of summary.json."""
    lead = "Everything needed to run it again, as written by the run itself: run.json and summary.json."
    absent = [draw_missing(content) for content in (run, summary) if isinstance(content, Missing)]
    begun = {} if isinstance(run, Missing) else dict(run)
    ended = {} if isinstance(summary, Missing) else dict(summary)
    measured = {
        AT_THE_END.get(name, name): _with_unit(name, value)
        for name, value in ended.items()
        if name not in SHOWN_ABOVE and begun.get(name) != value
    }
    groups = group_facts(begun, first_title="command") + group_facts(measured, first_title="measured")
    ranked = sorted(groups, key=_rank)
    return draw_section("run", "What was run", lead, *absent, element("div", *map(_draw_group, ranked), class_="facts"))


def _with_unit(name: str, value: object) -> object:
    """Return a part of summary.json; the stages are names with seconds, which only their names can say."""
    if name == "stages" and isinstance(value, dict):
        return {f"{stage}_s": seconds for stage, seconds in value.items()}
    return value


def _rank(group: FactGroup) -> int:
    return FIRST_TITLES.index(group.title) if group.title in FIRST_TITLES else len(FIRST_TITLES)


def _draw_group(group: FactGroup) -> str:
    rows = "".join(element("dt", text(label(name))) + _draw_value(value) for name, value in group.facts)
    return element("div", element("h3", text(group.title)), element("dl", rows), class_="card fact")


def _draw_value(value: str) -> str:
    first, *others = value.split("\n")
    if not others:
        return element("dd", text(first))
    return element("dd", *(element("div", text(line)) for line in (first, *others)), class_="lines")
