"""The same scene under two instructions: a policy that does not read the language cannot obey both."""

from __future__ import annotations

from collections.abc import Sequence

from qsft_sim.results import EpisodeResult
from qsft_sim.statistics import summarise_counterfactual
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.report.charts.axes import LegendEntry, draw_legend
from vlm_qsft.report.charts.interval import IntervalAxis, draw_parts
from vlm_qsft.report.charts.markup import text
from vlm_qsft.report.charts.scale import write_percent, write_percent_range
from vlm_qsft.report.episode_results import EpisodeSet
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_names import series_class, shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import (
    draw_absent_row,
    draw_card,
    draw_missing,
    draw_name,
    draw_row,
    draw_table,
    strong,
)

TITLE = "Counterfactual instruction"
HEADS = ("Both obeyed", "95 % interval", "One obeyed", "Same object", "Scenes")
CAPTION = (
    "Each scene is run twice, the second time with the instruction for another object on the same table. A policy "
    "that ignores the words obeys one of the two at most. Same object: of the scenes in which both runs handled an "
    "object, the share in which it was the same one; deaf to the instruction, that is 100 %."
)


def draw_counterfactual(policies: Sequence[PolicyResults]) -> str:
    """Return the card of the counterfactual instruction test."""
    axis = IntervalAxis(0.0, 1.0, "scenes, 95 % interval of both obeyed")
    tested = [(one.policy, one.counterfactual) for one in policies if isinstance(one.counterfactual, EpisodeSet)]
    rows = [_draw_row(policy, episodes.results, axis) for policy, episodes in tested]
    if not rows:
        return draw_card(TITLE, draw_missing(Missing("No counterfactual instruction test was run.")))
    legend = draw_legend(
        [
            LegendEntry("both obeyed", "plain", "solid"),
            LegendEntry("one of the two", "plain", "area"),
            LegendEntry("neither", "plain", "rest"),
            LegendEntry("95 % Wilson interval of both obeyed", "plain", "whisker"),
        ]
    )
    table = draw_table(axis, "Policy", HEADS, rows, caption="Counterfactual instruction test")
    return draw_card(TITLE, table, legend, caption=CAPTION)


def _draw_row(policy: str, results: Sequence[EpisodeResult], axis: IntervalAxis) -> str:
    try:
        summary = summarise_counterfactual(results)
    except InvalidSetting:
        absent = Missing("No scene was run under two instructions.")
        return draw_absent_row(draw_name(policy), absent, columns=2 + len(HEADS))
    both = write_percent(summary.both_followed)
    spoken = f"{shown_name(policy)} obeyed both instructions in {both} of {summary.scenes} scenes"
    strip = draw_parts(
        axis, [(summary.both_followed, "solid"), (summary.one_followed, "fill")], summary.interval,
        series=series_class(policy), description=spoken,
    )  # fmt: skip
    same = f"{write_percent(summary.same_object)} of {summary.handled_twice}" if summary.handled_twice else "–"
    numbers = (
        write_percent_range(*summary.interval), write_percent(summary.one_followed), same, f"{summary.scenes:,}",
    )  # fmt: skip
    cells = [(HEADS[0], strong(both)), *zip(HEADS[1:], map(text, numbers), strict=True)]
    return draw_row(draw_name(policy), strip, cells)
