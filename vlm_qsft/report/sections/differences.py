"""Paired differences: two policies in the same scenes, so that hard scenes count against both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from qsft_sim.statistics import PairedComparison
from vlm_qsft.report.charts.interval import IntervalAxis, draw_interval
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_p_value, write_points
from vlm_qsft.report.episode_results import EpisodeSet, Outcome, compare_on_common_scenes
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_names import series_class, shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import (
    draw_caption,
    draw_card,
    draw_missing,
    draw_name,
    draw_row,
    draw_table,
    strong,
)

SIGNIFICANT = 0.05
HEADS = ("Points", "95 % interval", "Only 1st / 2nd", "McNemar p", "Scenes")
TITLES: dict[Outcome, str] = {"success": "Success rate", "wrong_object": "Wrong-object rate"}

Compared = tuple[str, str, PairedComparison]


def draw_differences(policies: Sequence[PolicyResults]) -> str:
    """Return the card of paired differences."""
    evaluated = [(one.policy, one.final) for one in policies if isinstance(one.final, EpisodeSet)]
    compared: dict[Outcome, list[Compared]] = {outcome: _compare_all(evaluated, outcome) for outcome in TITLES}
    tests = sum(len(found) for found in compared.values())
    if not tests:
        return draw_card("Paired differences", draw_missing(Missing("No two policies were evaluated in one scene.")))
    caption = (
        "First policy minus second, scene by scene. Bar: 95 % interval, pairs of episodes resampled. p: exact McNemar "
        "test, two-sided: how often so uneven a split of the scenes that differ would come from two equal policies. "
        f"“No difference shown” is p ≥ {SIGNIFICANT}; it does not say that the policies are equal. "
        f"{tests} comparisons, p not corrected for their number."
    )
    tables = (_draw_table(found, outcome) for outcome, found in compared.items())
    return draw_card("Paired differences", *tables, caption=caption)


def verdict(comparison: PairedComparison) -> str:
    """Return "more", "less" or "no difference shown", of the first against the second."""
    if comparison.p_value >= SIGNIFICANT:
        return "no difference shown"
    return "more" if comparison.difference > 0 else "less"


def _compare_all(evaluated: Sequence[tuple[str, EpisodeSet]], outcome: Outcome) -> list[Compared]:
    return [
        (first, second, comparison)
        for (first, one), (second, other) in combinations(evaluated, 2)
        if (comparison := compare_on_common_scenes(one, other, outcome=outcome)) is not None
    ]


def _draw_table(compared: Sequence[Compared], outcome: Outcome) -> str:
    reach = max(0.1, *(abs(end) for _, _, comparison in compared for end in comparison.interval)) * 1.05
    label = f"difference of {TITLES[outcome].lower()}s, percentage points"
    axis = IntervalAxis(-reach, reach, label, 0.0, write_points)
    rows = [_draw_row(first, second, comparison, axis, outcome) for first, second, comparison in compared]
    side = "Right" if outcome == "success" else "Left"
    title = element("h4", text(TITLES[outcome]))
    table = draw_table(axis, "First − second", HEADS, rows, caption=f"Paired differences of {TITLES[outcome].lower()}s")
    return element("div", title, draw_caption(f"{side} of the dashed line the first is better."), table, class_="part")


def _draw_row(first: str, second: str, comparison: PairedComparison, axis: IntervalAxis, outcome: Outcome) -> str:
    low, high = comparison.interval
    points = write_points(comparison.difference)
    spoken = f"{shown_name(first)} minus {shown_name(second)}: {points} points"
    strip = draw_interval(
        axis, comparison.difference, comparison.interval, series=series_class(first), description=spoken
    )
    numbers = (
        f"{write_points(low)} to {write_points(high)}",
        f"{comparison.only_first} / {comparison.only_second}",
        write_p_value(comparison.p_value),
        f"{comparison.episodes:,}",
    )
    cells = [(HEADS[0], strong(points)), *zip(HEADS[1:], map(text, numbers), strict=True)]
    return draw_row(draw_name(first, f"− {shown_name(second)}", badge=_draw_badge(comparison, outcome)), strip, cells)


def _draw_badge(comparison: PairedComparison, outcome: Outcome) -> str:
    found = verdict(comparison)
    if found == "no difference shown":
        return element("span", found, class_="badge neutral")
    is_better = (found == "more") == (outcome == "success")
    return element("span", "better" if is_better else "worse", class_=f"badge {'success' if is_better else 'failure'}")
