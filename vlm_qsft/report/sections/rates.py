"""Success rates and wrong-object rates of every policy, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from qsft_sim.statistics import SuccessSummary
from vlm_qsft.report.charts.interval import IntervalAxis, draw_interval
from vlm_qsft.report.charts.markup import text
from vlm_qsft.report.charts.scale import write_percent, write_percent_range
from vlm_qsft.report.episode_results import EpisodeSet, write_settings
from vlm_qsft.report.logged_data import LoggedData
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_names import series_class, shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import (
    draw_absent_row,
    draw_card,
    draw_missing,
    draw_name,
    draw_row,
    draw_series_name,
    draw_table,
    draw_unreadable,
    strong,
)

SUCCESS_HEADS = ("Success", "95 % interval", "Mean steps", "Episodes")
WRONG_OBJECT_HEADS = ("Wrong object", "95 % interval", "Episodes")


def draw_success_rates(policies: Sequence[PolicyResults], logs: LoggedData | Missing) -> str:
    """Return the card of success rates; the logs' own rate is its baseline."""
    no_baseline = draw_missing(logs) if isinstance(logs, Missing) else ""
    if not policies:
        absent = Missing("No policy was evaluated: there is no folder in evaluation/.")
        return draw_card("Success rate", draw_missing(absent), no_baseline)
    baseline = None if isinstance(logs, Missing) else logs.success_rate
    axis = IntervalAxis(0.0, 1.0, "episodes that follow the instruction, 95 % interval", baseline)
    rows = [_draw_success_row(one, axis) for one in policies]
    if isinstance(logs, LoggedData) and logs.success_rate is not None:
        rows.append(_draw_logs_row(logs, logs.success_rate, axis))
    table = draw_table(axis, "Policy", SUCCESS_HEADS, rows, caption="Success rate of every policy")
    unreadable = (
        draw_unreadable(one.final.unreadable, f"evaluation/{one.policy}/final.jsonl")
        for one in policies
        if isinstance(one.final, EpisodeSet)
    )
    caption = (
        "Share of episodes in which the instruction was followed before the time limit. Dot: measured. Bar: 95 % "
        "Wilson interval, where the rate over all possible scenes plausibly lies. Dashed line: the logs themselves."
    )
    return draw_card("Success rate", table, no_baseline, *unreadable, caption=caption)


def draw_wrong_object_rates(policies: Sequence[PolicyResults]) -> str:
    """Return the card of wrong-object rates: who picks something, but not what was asked for."""
    evaluated = [(one.policy, one.final.summary) for one in policies if isinstance(one.final, EpisodeSet)]
    if not evaluated:
        return draw_card("Wrong object", draw_missing(Missing("No policy was evaluated.")))
    axis = IntervalAxis(0.0, 1.0, "episodes with a wrong object, 95 % interval")
    rows = [_draw_wrong_object_row(policy, summary, axis) for policy, summary in evaluated]
    table = draw_table(axis, "Policy", WRONG_OBJECT_HEADS, rows, caption="Wrong-object rate of every policy")
    caption = (
        "Share of episodes in which an object was lifted or moved that the instruction does not name; lower is "
        "better. It tells failures to understand from failures to grasp."
    )
    return draw_card("Wrong object", table, caption=caption)


def _draw_success_row(results: PolicyResults, axis: IntervalAxis) -> str:
    final = results.final
    if isinstance(final, Missing):
        return draw_absent_row(draw_name(results.policy), final, columns=2 + len(SUCCESS_HEADS))
    summary = final.summary
    strip = _draw_strip(results.policy, summary.success_rate, summary.interval, axis)
    numbers = (write_percent_range(*summary.interval), f"{summary.mean_steps:.1f}", f"{summary.episodes:,}")
    cells = (strong(write_percent(summary.success_rate)), *map(text, numbers))
    name = draw_name(results.policy, write_settings(final.settings) or "setting not recorded")
    return draw_row(name, strip, list(zip(SUCCESS_HEADS, cells, strict=True)))


def _draw_wrong_object_row(policy: str, summary: SuccessSummary, axis: IntervalAxis) -> str:
    rate, interval = summary.wrong_object_rate, summary.wrong_object_interval
    strip = _draw_strip(policy, rate, interval, axis)
    cells = (strong(write_percent(rate)), text(write_percent_range(*interval)), f"{summary.episodes:,}")
    return draw_row(draw_name(policy), strip, list(zip(WRONG_OBJECT_HEADS, cells, strict=True)))


def _draw_strip(policy: str, rate: float, interval: tuple[float, float], axis: IntervalAxis) -> str:
    spoken = f"{shown_name(policy)}: {write_percent(rate)}, 95 % {write_percent_range(*interval)}"
    return draw_interval(axis, rate, interval, series=series_class(policy), description=spoken)


def _draw_logs_row(logs: LoggedData, success_rate: float, axis: IntervalAxis) -> str:
    strip = draw_interval(axis, success_rate, None, series="baseline", description="success rate of the logs")
    cells = (write_percent(success_rate), "–", f"{logs.frames / logs.episodes:.1f}", f"{logs.episodes:,}")
    name = draw_series_name("baseline", "Logs they learned from", "as recorded, in scenes of their own")
    return draw_row(name, strip, list(zip(SUCCESS_HEADS, cells, strict=True)), kind="logs")
