"""The same scene under two instructions: a policy that does not read the language cannot obey both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from qsft_sim.results import EpisodeResult
from qsft_sim.statistics import wilson_interval
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
    rows = [_row(policy, episodes, axis) for policy, episodes in tested]
    if not rows:
        return draw_missing(Missing("No counterfactual instruction test was run."))
    heads = ["Policy", draw_interval_axis(axis), "Both obeyed", "Success per instruction", "Same object", "Scenes"]
    note = element(
        "p",
        "Each scene is run twice, the second time with the instruction for another object in it. "
        "A policy that ignores the instruction obeys at most one of the two. Same object: of the scenes in which both "
        "runs handled an object, the share in which it was the same one; without reading the instruction, all of them.",
        class_="note",
    )
    return draw_table(heads, rows, caption="Counterfactual instruction test") + note


def _row(policy: str, episodes: EpisodeSet, axis: IntervalAxis) -> str:
    scenes: dict[tuple[str, int], list[EpisodeResult]] = defaultdict(list)
    for result in episodes.results:
        scenes[result.task, result.seed].append(result)
    pairs = [runs for runs in scenes.values() if len({run.instruction for run in runs}) > 1]
    name = element(
        "th",
        element("span", class_=f"chip {series_class(policy)}", aria_hidden="true"),
        text(shown_name(policy)),
        scope="row",
    )
    if not pairs:
        absent = draw_missing(Missing("No scene was run under two instructions."))
        return element("tr", name, element("td", absent, colspan="5"))
    both = sum(all(run.success for run in runs) for runs in pairs)
    handled = [{run.handled for run in runs} for runs in pairs if all(run.handled for run in runs)]
    same = sum(len(objects) == 1 for objects in handled)
    share = both / len(pairs)
    spoken = f"{shown_name(policy)} obeyed both instructions in {write_percent(share)} of {len(pairs)} scenes"
    interval = wilson_interval(both, len(pairs))
    return element(
        "tr",
        name,
        draw_cell(
            draw_interval(axis, share, interval, series=series_class(policy), description=spoken), kind="strip-cell"
        ),
        draw_cell(element("strong", write_percent(share)), kind="number"),
        draw_cell(write_percent(episodes.summary.success_rate), kind="number"),
        draw_cell(write_percent(same / len(handled)) if handled else "–", kind="number"),
        draw_cell(f"{len(pairs):,}", kind="number"),
    )
