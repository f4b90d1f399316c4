"""The settings that were tried on the tuning scenes, and which one was taken."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_qsft.report.charts.interval import IntervalAxis, draw_interval
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_percent, write_percent_range
from vlm_qsft.report.episode_results import EpisodeSet, write_settings
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_names import series_class, shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import draw_caption, draw_card, draw_missing, draw_name, draw_row, draw_table

HEADS = ("Success", "95 % interval", "Episodes")
CAPTION = (
    "Every policy was given the setting that did best here, on scenes that the evaluation does not use. The best of "
    "several noisy numbers is too high: the success rate to quote is the one above."
)


def draw_tunings(policies: Sequence[PolicyResults]) -> str:
    """Return the card of settings, folded: it is how the results came about, not a result."""
    axis = IntervalAxis(0.0, 1.0, "success rate on tuning scenes, 95 % interval")
    rows = [row for one in policies for row in _draw_rows(one, axis)]
    if not rows:
        return draw_card("Settings tried", draw_missing(Missing("No setting was tuned in this run.")))
    summary = element("summary", element("h3", f"Settings tried on the tuning scenes ({len(rows)})"))
    table = draw_table(axis, "Policy and setting", HEADS, rows, caption="Settings tried on the tuning scenes")
    return draw_card("", element("details", summary, draw_caption(CAPTION), table))


def _draw_rows(results: PolicyResults, axis: IntervalAxis) -> list[str]:
    chosen = dict(results.final.settings) if isinstance(results.final, EpisodeSet) else None
    ranked = sorted(results.tunings, key=lambda one: one.summary.success_rate, reverse=True)
    return [_draw_row(results.policy, tried, axis, is_chosen=dict(tried.settings) == chosen) for tried in ranked]


def _draw_row(policy: str, tried: EpisodeSet, axis: IntervalAxis, *, is_chosen: bool) -> str:
    setting = write_settings(tried.settings) or "not recorded"
    rate, interval = tried.summary.success_rate, tried.summary.interval
    spoken = f"{shown_name(policy)}, {setting}: {write_percent(rate)}"
    series = series_class(policy) + ("" if is_chosen else " pale")
    badge = element("span", "chosen", class_="badge chosen-badge") if is_chosen else ""
    numbers = (write_percent(rate), write_percent_range(*interval), f"{tried.summary.episodes:,}")
    return draw_row(
        draw_name(policy, setting, badge=badge),
        draw_interval(axis, rate, interval, series=series, description=spoken),
        list(zip(HEADS, map(text, numbers), strict=True)),
    )
