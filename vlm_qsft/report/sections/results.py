"""The results: success rates with intervals drawn in the table, paired differences, settings tried."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from qsft_sim.statistics import PairedComparison
from vlm_qsft.report.charts.interval import IntervalAxis, draw_interval, draw_interval_axis
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_percent
from vlm_qsft.report.episode_results import EpisodeSet, compare_on_common_scenes, write_settings
from vlm_qsft.report.logged_data import LoggedData
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_names import series_class, shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import (
    draw_card,
    draw_cell,
    draw_missing,
    draw_section,
    draw_table,
    draw_unreadable,
)
from vlm_qsft.report.sections.counterfactual import draw_counterfactual


def draw_results(policies: Sequence[PolicyResults], logs: LoggedData | Missing) -> str:
    """Return the section of results."""
    tuned = any(one.tunings for one in policies)
    lead = (
        f"Every policy in the same scenes{', at its own best setting, chosen on other seeds' if tuned else ''}. "
        "Bars are 95 % Wilson intervals; the dashed line is the success rate of the logs they learned from."
    )
    return draw_section(
        "results", "Results", lead,
        draw_card("Success rate", _draw_rates(policies, logs)),
        draw_card("Paired differences", _draw_differences(policies)),
        draw_card("Counterfactual instruction", draw_counterfactual(policies)),
        draw_card("Settings tried on the tuning seeds", _draw_tunings(policies)),
    )  # fmt: skip


def _draw_rates(policies: Sequence[PolicyResults], logs: LoggedData | Missing) -> str:
    no_baseline = draw_missing(logs) if isinstance(logs, Missing) else ""
    if not policies:
        return draw_missing(Missing("No policy was evaluated: there is no folder in evaluation/.")) + no_baseline
    baseline = None if isinstance(logs, Missing) else logs.success_rate
    axis = IntervalAxis(0.0, 1.0, "success rate, 95 % interval", baseline)
    rows = [_rate_row(one, axis) for one in policies]
    if isinstance(logs, LoggedData) and logs.success_rate is not None:
        rows.append(_logs_row(logs, logs.success_rate, axis))
    heads = ["Policy", draw_interval_axis(axis), "Success", "95 % interval", "Wrong object", "Mean steps", "Episodes"]
    table = draw_table(heads, rows, caption="Success rate of every policy")
    unreadable = (
        draw_unreadable(one.final.unreadable, f"evaluation/{one.policy}/final.jsonl")
        for one in policies
        if isinstance(one.final, EpisodeSet)
    )
    return table + no_baseline + "".join(unreadable)


def _rate_row(results: PolicyResults, axis: IntervalAxis) -> str:
    final = results.final
    setting = "" if isinstance(final, Missing) else write_settings(final.settings) or "setting not recorded"
    name = _row_name(results.policy, setting)
    if isinstance(final, Missing):
        return element("tr", name, element("td", draw_missing(final), colspan="6"))
    summary = final.summary
    rate, interval = summary.success_rate, summary.interval
    spoken = f"{shown_name(results.policy)}: {write_percent(rate)}, {_write_interval(interval)}"
    strip = draw_interval(axis, rate, interval, series=series_class(results.policy), description=spoken)
    return element(
        "tr", name, draw_cell(strip, kind="strip-cell"),
        draw_cell(element("strong", write_percent(rate)), kind="number"),
        draw_cell(_write_interval(interval), kind="number"),
        draw_cell(write_percent(summary.wrong_object_rate), kind="number"),
        draw_cell(f"{summary.mean_steps:.1f}", kind="number"),
        draw_cell(f"{summary.episodes:,}", kind="number"),
    )  # fmt: skip


def _logs_row(logs: LoggedData, success_rate: float, axis: IntervalAxis) -> str:
    strip = draw_interval(axis, success_rate, None, series="baseline", description="success rate of the logs")
    name = element("th", _swatch("baseline"), "Logs they learned from", _small("as recorded"), scope="row")
    return element(
        "tr", name, draw_cell(strip, kind="strip-cell"), draw_cell(write_percent(success_rate), kind="number"),
        draw_cell("–", kind="number"), draw_cell("–", kind="number"),
        draw_cell(f"{logs.frames / logs.episodes:.1f}", kind="number"), draw_cell(f"{logs.episodes:,}", kind="number"),
        class_="logs",
    )  # fmt: skip


def _draw_differences(policies: Sequence[PolicyResults]) -> str:
    evaluated = [(one.policy, one.final) for one in policies if isinstance(one.final, EpisodeSet)]
    compared = [
        (first, second, comparison)
        for (first, one), (second, other) in combinations(evaluated, 2)
        if (comparison := compare_on_common_scenes(one, other)) is not None
    ]
    if not compared:
        return draw_missing(Missing("No two policies were evaluated on the same scenes."))
    reach = max(0.1, *(abs(end) for _, _, comparison in compared for end in comparison.interval))
    axis = IntervalAxis(-reach * 1.05, reach * 1.05, "difference of success rates, points", 0.0, write_points)
    rows = [_difference_row(first, second, comparison, axis) for first, second, comparison in compared]
    heads = ["First − second", draw_interval_axis(axis), "Points", "95 % interval", "Only 1st / 2nd", "McNemar p",
             "Scenes"]  # fmt: skip
    note = element(
        "p", "Same scenes, same seeds. Interval: paired bootstrap. p: exact McNemar test, two-sided.", class_="note"
    )
    return draw_table(heads, rows, caption="Paired differences of success rates") + note


def _difference_row(first: str, second: str, comparison: PairedComparison, axis: IntervalAxis) -> str:
    low, high = comparison.interval
    spoken = f"{shown_name(first)} minus {shown_name(second)}: {write_points(comparison.difference)} points"
    strip = draw_interval(
        axis, comparison.difference, comparison.interval, series=series_class(first), description=spoken
    )
    return element(
        "tr",
        _row_name(first, f"− {shown_name(second)}"),
        draw_cell(strip, kind="strip-cell"),
        draw_cell(element("strong", write_points(comparison.difference)), kind="number"),
        draw_cell(f"{write_points(low)} … {write_points(high)}", kind="number"),
        draw_cell(f"{comparison.only_first} / {comparison.only_second}", kind="number"),
        draw_cell(write_p_value(comparison.p_value), kind="number"),
        draw_cell(f"{comparison.episodes:,}", kind="number"),
    )


def _draw_tunings(policies: Sequence[PolicyResults]) -> str:
    axis = IntervalAxis(0.0, 1.0, "success rate on tuning seeds, 95 % interval")
    rows = [row for one in policies for row in _tuning_rows(one, axis)]
    if not rows:
        return draw_missing(Missing("No setting was tuned in this run."))
    heads = ["Policy and setting", draw_interval_axis(axis), "Success", "95 % interval", "Episodes"]
    return draw_table(heads, rows, caption="Settings tried on the tuning seeds")


def _tuning_rows(results: PolicyResults, axis: IntervalAxis) -> list[str]:
    chosen = results.final.settings if isinstance(results.final, EpisodeSet) else None
    rows = []
    for tried in sorted(results.tunings, key=lambda one: one.summary.success_rate, reverse=True):
        is_chosen = chosen is not None and dict(tried.settings) == dict(chosen)
        setting = write_settings(tried.settings) or "not recorded"
        rate, interval = tried.summary.success_rate, tried.summary.interval
        spoken = f"{shown_name(results.policy)}, {setting}: {write_percent(rate)}"
        series = series_class(results.policy) + ("" if is_chosen else " pale")
        badge = element("span", "chosen", class_="badge chosen-badge") if is_chosen else ""
        rows.append(
            element(
                "tr",
                _row_name(results.policy, setting, badge=badge),
                draw_cell(
                    draw_interval(axis, rate, interval, series=series, description=spoken),
                    kind="strip-cell",
                ),
                draw_cell(write_percent(rate), kind="number"),
                draw_cell(_write_interval(interval), kind="number"),
                draw_cell(f"{tried.summary.episodes:,}", kind="number"),
            )
        )
    return rows


def write_points(difference: float) -> str:
    """Return a difference of shares in points with its sign."""
    points = round(100 * difference, 1)
    return "0" if points == 0 else f"{points:+.3g}".replace("-", "−")


def write_p_value(p_value: float) -> str:
    """Return a p-value with two digits, tiny ones as a bound."""
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def _write_interval(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.0f} … {write_percent(interval[1])}"


def _row_name(policy: str, below: str, *, badge: str = "") -> str:
    return element("th", _swatch(series_class(policy)), text(shown_name(policy)), badge, _small(below), scope="row")


def _small(content: str) -> str:
    return element("small", text(content)) if content else ""


def _swatch(series: str) -> str:
    return element("span", class_=f"chip {series}", aria_hidden="true")
