"""How sure a success rate is, and how sure the difference of two policies on the same scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np

from qsft_sim.results import EpisodeResult
from vlm_qsft.errors import InvalidSetting

# Quantile of the standard normal distribution that leaves 2.5 % on either side.
_NORMAL_975 = 1.959963984540054
_RESAMPLES = 10_000


@dataclass(frozen=True)
class SuccessSummary:
    """Results of one policy: shares of its episodes, and the 95 % Wilson interval of the success rate."""

    episodes: int
    success_rate: float
    interval: tuple[float, float]
    wrong_object_rate: float
    mean_steps: float


@dataclass(frozen=True)
class PairedComparison:
    """Two policies on the same scenes.

    Attributes:
        episodes: pairs.
        difference: success rate of the first less that of the second.
        interval: 95 % bootstrap interval of the difference, pairs resampled.
        only_first: scenes that only the first policy solved.
        only_second: scenes that only the second policy solved.
        p_value: McNemar's exact test, two-sided: how likely so uneven a split is when both are equally good.
    """

    episodes: int
    difference: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    p_value: float


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a success rate.

        (p + z^2/2n  -+  z sqrt(p (1-p)/n + z^2/4n^2)) / (1 + z^2/n)

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
    successes = sum(result.success for result in results)
    return SuccessSummary(
        episodes=len(results),
        success_rate=successes / len(results),
        interval=wilson_interval(successes, len(results)),
        wrong_object_rate=sum(result.wrong_object for result in results) / len(results),
        mean_steps=sum(result.steps for result in results) / len(results),
    )


def compare(
    first: Sequence[EpisodeResult], second: Sequence[EpisodeResult], *, resamples: int = _RESAMPLES, seed: int = 0
) -> PairedComparison:
    """Return the paired comparison of two policies.

    Args:
        first: results, one per scene.
        second: results on the same scenes, in the same order.
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
    difference = np.array([a.success - b.success for a, b in zip(first, second, strict=True)], dtype=np.int64)
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
