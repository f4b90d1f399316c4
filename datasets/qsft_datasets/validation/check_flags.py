"""Flags: terminated, truncated and success agree with each other, with the episode table, and stand at the end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.source_columns import SOURCE_TERMINATED
from qsft_datasets.validation.finding import Result, at_episodes, at_frames, error, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.reward_rules import VGPS_GOAL_STEPS

RELABEL = "Label the data set again: `qsft label`."


def check_flags(subject: Subject) -> Iterator[Result]:
    """Compare flags per frame and per episode."""
    layout = subject.layout
    last = layout.starts + layout.lengths - 1
    rule = str(subject.labels.get("reward_rule", ""))
    if subject.has("next.terminated"):
        yield from early_terminations(subject, rule)
    if subject.has("next.terminated", "next.truncated"):
        terminated, truncated = (subject.scalar(f"next.{name}")[last] != 0 for name in ("terminated", "truncated"))
        open_ended = layout.numbers[~terminated & ~truncated]
        if len(open_ended):
            yield error(
                "An episode ends neither terminated nor truncated.",
                "Nothing is cut off that has no end: label the data set again, with a source for how episodes end.",
                **at_episodes(np.sort(open_ended)),
            )
        both = layout.numbers[terminated & truncated]
        if len(both) and rule != "recap":  # which ends every episode, whatever cut it off
            yield warning(
                "An episode ends terminated and truncated: is anything bootstrapped after it?",
                "Decide on one of them: a task that ended was not cut off.",
                **at_episodes(np.sort(both)),
            )
    yield from against_table(subject, last, rule)
    yield from broadcast_success(subject)
    for key in ("next.done", SOURCE_TERMINATED):
        yield from early_ends_of_source(subject, key, last)


def early_terminations(subject: Subject, rule: str) -> Iterator[Result]:
    """Report terminations before the end that the rule does not ask for."""
    layout = subject.layout
    rows = np.flatnonzero(subject.scalar("next.terminated") != 0)
    if len(rows) == 0:
        return
    stretch = np.searchsorted(layout.starts, rows, side="right") - 1
    steps_left = layout.starts[stretch] + layout.lengths[stretch] - 1 - rows
    early = rows[steps_left >= (VGPS_GOAL_STEPS if rule == "vgps" else 1)]
    if len(early):
        yield error(
            f"'next.terminated' is set before the end of an episode, {len(early)} times.",
            RELABEL,
            **at_frames(layout, early),
        )


def early_ends_of_source(subject: Subject, key: str, last: np.ndarray) -> Iterator[Result]:
    """Report ends that the source itself sets before the last frame: on the last five or six of them, for example."""
    if not subject.has(key) or subject.widths[key] != 1:
        return
    layout = subject.layout
    early = np.setdiff1d(np.flatnonzero(subject.scalar(key) != 0), last)
    if len(early):
        yield warning(
            f"'{key}' is set before the end of an episode, {len(early)} times.",
            "Several episodes in one, or a flag that stays on after the success: look at the first of them.",
            **at_frames(layout, early),
        )


def against_table(subject: Subject, last: np.ndarray, rule: str) -> Iterator[Result]:
    """Compare the last frame of every episode with its row of the episode table."""
    numbers = subject.layout.numbers
    known = (numbers >= 0) & (numbers < subject.n_episodes)
    table = {name: subject.entries(name) for name in ("success", "terminated", "truncated")}
    for name, entries in table.items():
        if entries is None or not subject.has(f"next.{name}"):
            continue
        frames = subject.scalar(f"next.{name}")[last[known]] != 0
        episodes = np.array([bool(entries[number]) for number in numbers[known]])
        different = frames != episodes
        if name == "terminated":
            # A rule may end the task where the recording was cut off: all of `recap`, successes under the others.
            ended_by_rule = np.full(len(different), rule == "recap")
            if table["success"] is not None:
                ended_by_rule |= np.array([bool(table["success"][number]) for number in numbers[known]])
            different &= ~(frames & ended_by_rule)
        if different.any():
            yield error(
                f"'next.{name}' on the last frame contradicts '{name}' of the episode table.",
                RELABEL,
                **at_episodes(np.sort(numbers[known][different])),
            )
    success, terminated = table["success"], table["terminated"]
    if success is not None and terminated is not None:
        odd = [e for e in range(subject.n_episodes) if success[e] and not terminated[e]]
        if odd:
            yield warning(
                "A success was cut off instead of terminated: a success ends its task.",
                "Check where this comes from; the rules count it as ended.",
                **at_episodes(odd),
            )


def broadcast_success(subject: Subject) -> Iterator[Result]:
    """Report success flags that stand on every frame of an episode."""
    if not subject.has("next.success"):
        return
    layout, flags = subject.layout, subject.scalar("next.success") != 0
    share = np.add.reduceat(flags.astype(np.int64), layout.starts) / layout.lengths
    everywhere = layout.numbers[(share == 1.0) & (layout.lengths > 1)]
    if len(everywhere):
        yield warning(
            "'next.success' is set on every frame of an episode: it says how the episode ends, not when.",
            RELABEL,
            **at_episodes(np.sort(everywhere)),
        )
