"""Episodes to look at: a player for a success and a failure of every policy, and the recorded videos."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.player import draw_player
from vlm_qsft.report.policy_names import shown_name
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import draw_card, draw_missing, draw_section
from vlm_qsft.report.trace import load_trace

LARGEST_VIDEO_BYTES = 1_500_000  # a page is mailed and opened on slow machines: larger files stay where they are
LARGEST_VIDEOS_BYTES = 12_000_000  # of all videos together


def draw_episodes(policies: Sequence[PolicyResults], *, run_folder: Path) -> str:
    """Return the section of players and videos."""
    lead = (
        "The first success and the first failure of every policy, run again with everything written down. Under the "
        "frames, over the steps of the episode: the value of the state, then for every action dimension the Q-value "
        "of every bin and the bin that was taken. A policy that knows what it does takes bright bins, and its value "
        "rises towards success. Drag, click into a chart, or point at a bin."
    )
    cards = [_draw_policy(one, run_folder=run_folder, folded=number > 0) for number, one in enumerate(policies)]
    if not cards:
        cards = [draw_missing(Missing("No policy was evaluated, so there is no episode to show."))]
    return draw_section("episodes", "Inside the policy", lead, *cards, _draw_videos(policies, run_folder=run_folder))


def _draw_policy(results: PolicyResults, *, run_folder: Path, folded: bool) -> str:
    traces = {ending: load_trace(path, run_folder=run_folder) for ending, path in results.traces.items()}
    name = shown_name(results.policy)
    if all(isinstance(trace, Missing) for trace in traces.values()):
        reasons = dict.fromkeys(trace.reason for trace in traces.values() if isinstance(trace, Missing))
        return draw_card(name, draw_missing(Missing(" ".join(reasons))))
    players = []
    for ending, trace in traces.items():
        if isinstance(trace, Missing):
            kind = "successful" if ending == "success" else "failed"
            absent = Missing(f"A {kind} episode: {trace.reason[0].lower()}{trace.reason[1:]}")
            players.append(element("article", draw_missing(absent), class_="player-absent"))
        else:
            players.append(draw_player(trace, name, identity=f"player-{results.policy}-{ending}"))
    shown = element("div", *players, class_="players")
    return _draw_folded(name, shown) if folded else draw_card(name, shown)


def _draw_folded(name: str, *blocks: str) -> str:
    return draw_card("", element("details", element("summary", element("h3", text(name))), *blocks))


def _draw_videos(policies: Sequence[PolicyResults], *, run_folder: Path) -> str:
    listed = [(one.policy, path) for one in policies for path in reversed(one.videos)]
    if not listed:
        return draw_card("Videos", draw_missing(Missing("No video was recorded.")))
    figures = element("div", *_draw_figures(listed, run_folder), class_="videos")
    return _draw_folded(f"Videos of the same episodes ({len(listed)})", figures)


def _draw_figures(listed: Iterable[tuple[str, Path]], run_folder: Path) -> Iterable[str]:
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
