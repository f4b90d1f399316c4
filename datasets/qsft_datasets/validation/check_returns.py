"""Returns: all in [0, 1], the sums of the rewards, and those of the rule that the labels name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.validation.finding import Fact, Result, at_episodes, at_frames, error
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.returns import RETURN_TOLERANCE, monte_carlo_returns
from vlm_qsft.errors import QsftError

AGREEMENT = 1e-4
RELABEL = "Label the data set again: `qsft label`."


def check_returns(subject: Subject) -> Iterator[Result]:
    """Compare returns with rewards, and rewards with the rule."""
    if not subject.has("mc_return"):
        return
    layout, returns = subject.layout, subject.scalar("mc_return").astype(np.float64)
    yield Fact("returns", f"{np.nanmin(returns):.4g} to {np.nanmax(returns):.4g}, mean {np.nanmean(returns):.4g}")
    outside = np.flatnonzero((returns < -RETURN_TOLERANCE) | (returns > 1.0 + RETURN_TOLERANCE))
    if len(outside):
        yield error(
            f"The return is {returns[outside[0]]:.6g}; Q-SFT needs every return in [0, 1]. {len(outside)} such frames.",
            "Label the data set by a rule that scales them, for example `qsft label FOLDER --rule keep`.",
            **at_frames(layout, outside),
        )
    try:
        labels = LabelSettings.from_record(subject.labels)
    except (QsftError, KeyError, TypeError, ValueError):
        yield error("meta/labels.json is missing or does not say how the returns came about.", RELABEL)
        return
    yield Fact("labels", f"rule {labels.reward_rule}, gamma {labels.gamma:g}, outcomes by {labels.source}")
    if not subject.has("next.reward", "next.terminated"):
        yield error("There are returns, but no columns 'next.reward' and 'next.terminated'.", RELABEL)
        return
    reward = subject.scalar("next.reward").astype(np.float64)
    terminated = subject.scalar("next.terminated") != 0
    expected = monte_carlo_returns(reward, layout.lengths, labels.gamma, terminated=terminated)
    different = np.flatnonzero(~(np.abs(expected - returns) <= AGREEMENT))
    if len(different):
        yield error(
            f"The return is {returns[different[0]]:.6g}; the rewards, discounted by {labels.gamma:g}, sum to "
            f"{expected[different[0]]:.6g}. {len(different)} such frames.",
            RELABEL,
            **at_frames(layout, different),
        )
    yield from against_rule(subject, labels, reward)


def against_rule(subject: Subject, labels: LabelSettings, reward: np.ndarray) -> Iterator[Result]:
    """Compare the rewards of every episode with what the rule gives for its outcome."""
    success, terminated, layout = subject.entries("success"), subject.entries("terminated"), subject.layout
    if labels.reward_rule == "keep" or success is None or terminated is None:
        return
    wrong = []
    for number, start, length in zip(layout.numbers, layout.starts, layout.lengths, strict=True):
        if not 0 <= number < subject.n_episodes:
            continue
        raw = labels.raw_rewards(int(length), success=bool(success[number]), terminated=bool(terminated[number]))
        expected = labels.return_mapping.rewards(raw.reward, raw.ends, labels.gamma)
        if not np.allclose(reward[start : start + length], expected, atol=AGREEMENT):
            wrong.append(int(number))
    if wrong:
        yield error(
            f"The rewards contradict rule '{labels.reward_rule}' and the outcome of the episode.",
            RELABEL,
            **at_episodes(sorted(wrong)),
        )
