"""The same scene under two instructions: a policy that does not read the language cannot obey both."""

from __future__ import annotations

from collections.abc import Sequence

from qsft_sim.results import EpisodeResult
from qsft_sim.statistics import summarise_counterfactual
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.report.charts.interval import IntervalAxis, draw_interval, draw_interval_axis
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_percent
from vlm_qsft.report.episode_results import EpisodeSet
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_names import series_class, shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import draw_cell, draw_missing, draw_table


def draw_counterfactual(policies: Sequence[PolicyResults]) -> str:
    """Return the table of the counterfactual instruction test."""
    axis = IntervalAxis(0.0, 1.0, "scenes with both instructions obeyed, 95 % interval")
    tested = [(one.policy, one.counterfactual) for one in policies if isinstance(one.counterfactual, EpisodeSet)]
    rows = [_row(policy, episodes.results, axis) for policy, episodes in tested]
    if not rows:
        return draw_missing(Missing("No counterfactual instruction test was run."))
    heads = ["Policy", draw_interval_axis(axis), "Both obeyed", "One obeyed", "Same object", "Scenes"]
    note = element(
        "p",
        "Each scene is run twice, the second time with the instruction for another object in it. "
        "A policy that ignores the instruction obeys at most one of the two. Same object: of the scenes in which both "
        "runs handled an object, the share in which it was the same one; without reading the instruction, all of them.",
        class_="note",
    )
    return draw_table(heads, rows, caption="Counterfactual instruction test") + note


def _row(policy: str, results: Sequence[EpisodeResult], axis: IntervalAxis) -> str:
    chip = element("span", class_=f"chip {series_class(policy)}", aria_hidden="true")
    name = element("th", chip, text(shown_name(policy)), scope="row")
    try:
        summary = summarise_counterfactual(results)
    except InvalidSetting:
        absent = draw_missing(Missing("No scene was run under two instructions."))
        return element("tr", name, element("td", absent, colspan="5"))
    both = write_percent(summary.both_followed)
    spoken = f"{shown_name(policy)} obeyed both instructions in {both} of {summary.scenes} scenes"
    strip = draw_interval(
        axis, summary.both_followed, summary.interval, series=series_class(policy), description=spoken
    )
    return element(
        "tr",
        name,
        draw_cell(strip, kind="strip-cell"),
        draw_cell(element("strong", both), kind="number"),
        draw_cell(write_percent(summary.one_followed), kind="number"),
        draw_cell(write_percent(summary.same_object), kind="number"),
        draw_cell(f"{summary.scenes:,}", kind="number"),
    )
