"""Episodes to look at: a player for a success and a failure of every policy, and the recorded videos."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from vlm_qsft.report.bin_centers import load_bin_centers
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.logged_data import LoggedData
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.player import PlayerTitle, draw_player
from vlm_qsft.report.policy_names import shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import draw_card, draw_missing, draw_section
from vlm_qsft.report.trace import Trace, load_trace

LARGEST_VIDEO_BYTES = 1_500_000  # a page is mailed and opened on slow machines: larger files stay where they are
LARGEST_VIDEOS_BYTES = 12_000_000  # of all videos together


def draw_episodes(policies: Sequence[PolicyResults], logs: LoggedData | Missing, *, run_folder: Path) -> str:
    """Return the section of players and videos."""
    lead = (
        "Under each frame: what the policy believed. Colour is the Q-value of each action bin, the hump above it the "
        "probability of being drawn. Drag the scrubber, click into the value curve, or point at a bin."
    )
    cards = [_draw_policy(one, logs, run_folder=run_folder, folded=number > 0) for number, one in enumerate(policies)]
    if not cards:
        cards = [draw_missing(Missing("No policy was evaluated, so there is no episode to show."))]
    return draw_section("episodes", "Inside the policy", lead, *cards, _draw_videos(policies, run_folder=run_folder))


def _draw_policy(results: PolicyResults, logs: LoggedData | Missing, *, run_folder: Path, folded: bool) -> str:
    traces = {ending: load_trace(path, run_folder=run_folder) for ending, path in results.traces.items()}
    name = shown_name(results.policy)
    if all(isinstance(trace, Missing) for trace in traces.values()):
        reasons = dict.fromkeys(trace.reason for trace in traces.values() if isinstance(trace, Missing))
        return draw_card(name, draw_missing(Missing(" ".join(reasons))))
    shown = element(
        "div",
        *(_draw_trace(trace, ending, results.policy, logs, run_folder) for ending, trace in traces.items()),
        class_="players",
    )
    if not folded:
        return draw_card(name, shown)
    summary = element("summary", element("h3", text(name)))
    return draw_card("", element("details", summary, shown))


def _draw_trace(trace: Trace | Missing, ending: str, policy: str, logs: LoggedData | Missing, run_folder: Path) -> str:
    if isinstance(trace, Missing):
        kind = "successful" if ending == "success" else "failed"
        absent = Missing(f"A {kind} episode: {trace.reason[0].lower()}{trace.reason[1:]}")
        return element("article", draw_missing(absent), class_="player-absent")
    if trace.bin_centers is None:
        action_dim, n_bins = trace.q_values.shape[1:]
        centers = load_bin_centers(run_folder, policy, action_dim=action_dim, n_bins=n_bins)
        trace = dataclasses.replace(trace, bin_centers=centers)
    known = logs if isinstance(logs, LoggedData) else None
    title = PlayerTitle(
        shown_name(policy),
        success=ending == "success",
        period_s=known.period_s if known else None,
        action_names=known.action_names if known else (),
        cameras=known.cameras if known else (),
    )
    return draw_player(trace, title, identity=f"player-{policy}-{ending}")


def _draw_videos(policies: Sequence[PolicyResults], *, run_folder: Path) -> str:
    listed = [(one.policy, path) for one in policies for path in one.videos]
    if not listed:
        return draw_card("Videos", draw_missing(Missing("No video was recorded.")))
    return draw_card("Videos", element("div", *_video_figures(listed, run_folder), class_="videos"))


def _video_figures(listed: Iterable[tuple[str, Path]], run_folder: Path) -> Iterable[str]:
    embedded = 0
    for policy, path in listed:
        size = path.stat().st_size
        caption = element("figcaption", text(f"{shown_name(policy)} · {path.stem}"))
        if 0 < size <= LARGEST_VIDEO_BYTES and embedded + size <= LARGEST_VIDEOS_BYTES:
            embedded += size
            uri = f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
            video = element("video", src=uri, controls=True, loop=True, muted=True, playsinline=True)
            yield element("figure", video, caption)
        else:
            left_out = Missing(f"Not embedded ({size / 1e6:.1f} MB): {path.relative_to(run_folder)}")
            yield element("figure", draw_missing(left_out), caption)
