"""What was run: command, settings, versions, seeds, wall time."""

from __future__ import annotations

from collections.abc import Mapping

from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.facts import FactGroup, group_facts, label
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.sections.block import draw_missing, draw_section

SHOWN_ABOVE = frozenset({"policies", "comparisons", "data"})


def draw_provenance(run: Mapping[str, object] | Missing, summary: Mapping[str, object] | Missing) -> str:
    """Return the section that lets someone else run the same: everything in run.json, the rest of summary.json."""
    lead = "Everything needed to run it again, as written by the run itself."
    groups: list[FactGroup] = []
    absent: list[str] = []
    for content, title in ((run, "Command"), (summary, "Measured")):
        if isinstance(content, Missing):
            absent.append(draw_missing(content))
        else:
            kept = {name: value for name, value in content.items() if name not in SHOWN_ABOVE}
            stages = kept.get("stages")
            if isinstance(stages, dict):  # names of stages, seconds each
                kept["stages"] = {f"{stage}_s": seconds for stage, seconds in stages.items()}
            groups += group_facts(kept, first_title=title)
    unique = {group.facts: group for group in reversed(groups)}.values()
    cards = element("div", *(_draw_group(group) for group in reversed(unique)), class_="facts")
    return draw_section("run", "What was run", lead, *absent, cards)


def _draw_group(group: FactGroup) -> str:
    rows = "".join(element("dt", text(label(name))) + element("dd", text(value)) for name, value in group.facts)
    return element("div", element("h3", text(group.title)), element("dl", rows), class_="card fact")
