"""How sure a success rate is, and how sure the difference of two policies on the same scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, sqrt
from operator import attrgetter

import numpy as np

from qsft_sim.results import EpisodeResult
from vlm_qsft.errors import InvalidSetting

# Quantile of the standard normal distribution that leaves 2.5 % on either side.
_NORMAL_975 = 1.959963984540054
_RESAMPLES = 10_000


@dataclass(frozen=True)
class SuccessSummary:
    """Results of one policy: shares of its episodes with their 95 % Wilson intervals, and its mean length."""

    episodes: int
    success_rate: float
    interval: tuple[float, float]
    wrong_object_rate: float
    wrong_object_interval: tuple[float, float]
    mean_steps: float


@dataclass(frozen=True)
class CounterfactualSummary:
    """One policy in the same scenes under two instructions each; who ignores the words follows one at most.

    Attributes:
        scenes: scenes run under both instructions.
        both_followed: share of scenes in which both instructions were followed.
        interval: 95 % Wilson interval of it.
        one_followed: share of scenes in which one of the two was followed.
        handled_twice: scenes in which both runs handled an object.
        same_object: of those, the share in which it was the same object; NaN where there are none. A policy that does
            not read the instruction is at 1.
    """

    scenes: int
    both_followed: float
    interval: tuple[float, float]
    one_followed: float
    handled_twice: int
    same_object: float


@dataclass(frozen=True)
class PairedComparison:
    """Two policies on the same scenes.

    Attributes:
        episodes: pairs.
        difference: share of episodes with the outcome (success, where no other is asked for), first less second.
        interval: 95 % bootstrap interval of the difference, pairs resampled.
        only_first: scenes with the outcome under the first policy only.
        only_second: scenes with the outcome under the second policy only.
        p_value: McNemar's exact test, two-sided: how likely so uneven a split is when the policies do not differ.
    """

    episodes: int
    difference: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    p_value: float


def wilson_interval(successes: float, episodes: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a success rate.

        (p + z^2/2n  -+  z sqrt(p (1-p)/n + z^2/4n^2)) / (1 + z^2/n)

    Args:
        successes: their number; or the sum of numbers in [0, 1], of whose mean the interval is then a wide one,
            because no such numbers vary more than zeros and ones do.
        episodes: how many.

    Raises:
        InvalidSetting: not 0 <= successes <= episodes, or no episode.
    """
    if episodes < 1 or not 0 <= successes <= episodes:
        raise InvalidSetting(
            f"{successes} successes in {episodes} episodes: expected 0 <= successes <= episodes, >= 1."
        )
    rate, square = successes / episodes, _NORMAL_975**2
    center = rate + square / (2 * episodes)
    half = _NORMAL_975 * sqrt(rate * (1 - rate) / episodes + square / (4 * episodes**2))
    scale = 1 + square / episodes
    return max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value: twice the tail of a fair coin thrown once per scene that differs."""
    throws = only_first + only_second
    tail = sum(comb(throws, count) for count in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**throws)


def summarise(results: Sequence[EpisodeResult]) -> SuccessSummary:
    """Return the summary of a policy's results.

    Raises:
        InvalidSetting: no results.
    """
    if not results:
        raise InvalidSetting("No results to summarise.")
    episodes = len(results)
    successes = sum(result.success for result in results)
    wrong_objects = sum(result.wrong_object for result in results)
    return SuccessSummary(
        episodes=episodes,
        success_rate=successes / episodes,
        interval=wilson_interval(successes, episodes),
        wrong_object_rate=wrong_objects / episodes,
        wrong_object_interval=wilson_interval(wrong_objects, episodes),
        mean_steps=sum(result.steps for result in results) / episodes,
    )


def summarise_counterfactual(results: Sequence[EpisodeResult]) -> CounterfactualSummary:
    """Return the summary of what `counterfactual.evaluate_counterfactual` gave, in any order.

    A scene that was run under one of its two instructions only, as by a killed evaluation, does not count.

    Raises:
        InvalidSetting: no scene was run under both.
    """
    scenes: dict[tuple[str, int], dict[str, EpisodeResult]] = {}
    for result in results:
        scenes.setdefault((result.task, result.seed), {})[result.instruction] = result
    pairs = [tuple(runs.values()) for runs in scenes.values() if len(runs) == 2]
    if not pairs:
        raise InvalidSetting(f"{len(results)} results: expected two of every scene, under different instructions.")
    followed = [own.success + other.success for own, other in pairs]
    both = followed.count(2)
    handled = [(own.handled, other.handled) for own, other in pairs if own.handled and other.handled]
    return CounterfactualSummary(
        scenes=len(pairs),
        both_followed=both / len(pairs),
        interval=wilson_interval(both, len(pairs)),
        one_followed=followed.count(1) / len(pairs),
        handled_twice=len(handled),
        same_object=sum(own == other for own, other in handled) / len(handled) if handled else float("nan"),
    )


def compare(
    first: Sequence[EpisodeResult],
    second: Sequence[EpisodeResult],
    *,
    outcome: Callable[[EpisodeResult], bool] = attrgetter("success"),
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> PairedComparison:
    """Return the paired comparison of two policies.

    Args:
        first: results, one per scene.
        second: results on the same scenes, in the same order.
        outcome: what is counted.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        InvalidSetting: the scenes are not the same.
    """
    scenes = [[(result.task, result.seed) for result in results] for results in (first, second)]
    if scenes[0] != scenes[1] or not first:
        raise InvalidSetting(
            f"{len(first)} and {len(second)} results of different scenes: a paired comparison needs the same scenes."
        )
    difference = np.array([outcome(a) - outcome(b) for a, b in zip(first, second, strict=True)], dtype=np.int64)
    draws = np.random.default_rng(seed).integers(len(difference), size=(resamples, len(difference)))
    low, high = np.quantile(difference[draws].mean(axis=1), (0.025, 0.975))
    only_first, only_second = int((difference > 0).sum()), int((difference < 0).sum())
    return PairedComparison(
        episodes=len(difference),
        difference=float(difference.mean()),
        interval=(float(low), float(high)),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar_p_value(only_first, only_second),
    )
