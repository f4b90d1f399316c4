"""The top of the page: the result in one sentence, and the five numbers that go with it."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_p_value, write_percent, write_percent_range, write_points
from vlm_qsft.report.episode_results import EpisodeSet, compare_on_common_scenes
from vlm_qsft.report.facts import write_duration
from vlm_qsft.report.logged_data import LoggedData
from vlm_qsft.report.missing import Missing, as_number
from vlm_qsft.report.policy_names import series_class, shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.run_folder import RunFolder
from vlm_qsft.report.sections.differences import verdict


def draw_headline(run: RunFolder) -> str:
    """Return the header of the page."""
    evaluated = [(one, one.final) for one in run.policies if isinstance(one.final, EpisodeSet)]
    title, details = _sentences(evaluated, run.logs)
    tiles = [_tile(results, final) for results, final in evaluated]
    if isinstance(run.logs, LoggedData) and run.logs.success_rate is not None:
        small = f"{run.logs.episodes:,} episodes, {run.logs.frames:,} frames"
        tiles.append(_number_tile("Logs they learned from", write_percent(run.logs.success_rate), small, "baseline"))
    wall_s = as_number(run.summary.get("wall_s")) if not isinstance(run.summary, Missing) else float("nan")
    if wall_s > 0:
        peak = as_number(run.summary.get("peak_rss_gb")) if not isinstance(run.summary, Missing) else float("nan")
        memory = f"peak memory {peak:.1f} GB" if peak > 0 else "record, train, evaluate, report"
        tiles.append(_number_tile("Whole run", write_duration(wall_s), memory, "plain"))
    return element(
        "header",
        element("p", text(_eyebrow(run)), class_="eyebrow"),
        element("h1", text(title)),
        *(element("p", text(sentence), class_="lede") for sentence in details),
        element("div", *tiles, class_="tiles") if tiles else "",
        class_="headline",
    )


def _eyebrow(run: RunFolder) -> str:
    words = ["vlm-qsft", "run report", run.path.resolve().name]
    if not isinstance(run.run, Missing) and "preset" in run.run:
        words.append(f"preset {run.run['preset']}")
    return " · ".join(words)


def _sentences(
    evaluated: Sequence[tuple[PolicyResults, EpisodeSet]], logs: LoggedData | Missing
) -> tuple[str, list[str]]:
    """Return the title and the sentences below it."""
    if not evaluated:
        return "This run has no evaluated policy yet", ["What it left behind so far is below."]
    first, final = evaluated[0]
    rate = write_percent(final.summary.success_rate)
    title = f"{shown_name(first.policy)} succeeds in {rate} of {len(final.results):,} episodes"
    if isinstance(logs, LoggedData) and logs.success_rate is not None:
        title += f"; the logs it learned from, in {write_percent(logs.success_rate)}"
    parts = []
    for other, outcomes in evaluated[1:]:
        comparison = compare_on_common_scenes(final, outcomes)
        if comparison is not None:
            low, high = comparison.interval
            doubt = "" if verdict(comparison) != "no difference shown" else ": no difference shown"
            parts.append(
                f"{write_points(comparison.difference)} points against {shown_name(other.policy)} "
                f"(95 % {write_points(low)} to {write_points(high)}, "
                f"McNemar p {_with_sign(comparison.p_value)}{doubt})"
            )
    details = [f"On the same scenes: {'; '.join(parts)}."] if parts else []
    wrong = [f"{shown_name(one.policy)} {write_percent(of.summary.wrong_object_rate)}" for one, of in evaluated]
    return title, [*details, f"Share of episodes in which a wrong object was handled: {', '.join(wrong)}."]


def _with_sign(p_value: float) -> str:
    shown = write_p_value(p_value)
    return shown if shown.startswith("<") else f"= {shown}"


def _tile(results: PolicyResults, final: EpisodeSet) -> str:
    summary = final.summary
    small = f"95 % interval {write_percent_range(*summary.interval)}"
    name, series = shown_name(results.policy), series_class(results.policy)
    return _number_tile(name, write_percent(summary.success_rate), small, series)


def _number_tile(name: str, number: str, small: str, series: str) -> str:
    return element(
        "div",
        element("span", text(name), class_="tile-name"),
        element("span", text(number), class_="tile-number"),
        element("span", text(small), class_="tile-small"),
        class_=f"tile {series}",
    )
