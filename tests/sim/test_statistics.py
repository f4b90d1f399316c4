from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from qsft_sim.results import EpisodeResult
from qsft_sim.statistics import compare, mcnemar_p_value, summarise, wilson_interval
from vlm_qsft.errors import InvalidSetting

RESULT = EpisodeResult("pick", 2, 0, 0, "pick up the red cube", True, False, "red cube", 10, 1.0, math.nan, math.nan)


def results(successes: str) -> list[EpisodeResult]:
    """Return one result per character: `1` is a success, `0` a failure, `x` a failure with a wrong object."""
    return [
        replace(RESULT, episode=number, seed=number, success=letter == "1", wrong_object=letter == "x")
        for number, letter in enumerate(successes)
    ]


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [
        # Published examples: Newcombe (1998), Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(successes: int, episodes: int, low: float, high: float) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=5e-5)


def test_the_ends_of_a_wilson_interval_solve_its_equation() -> None:
    # Wilson (1927): (p_hat - p)^2 = z^2 p (1 - p) / n at both ends.
    for end in wilson_interval(37, 120):
        assert (37 / 120 - end) ** 2 == pytest.approx(1.959963984540054**2 * end * (1 - end) / 120)


def test_an_impossible_count_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="5 successes in 4 episodes"):
        wilson_interval(5, 4)


@pytest.mark.parametrize(
    ("only_first", "only_second", "expected"),
    [(0, 0, 1.0), (3, 3, 1.0), (5, 1, 2 * (1 + 6) / 64), (10, 0, 2 / 1024), (2, 1, 1.0)],
)
def test_mcnemar_counts_coin_throws(only_first: int, only_second: int, expected: float) -> None:
    assert mcnemar_p_value(only_first, only_second) == pytest.approx(expected)


def test_a_summary_counts_successes_and_wrong_objects() -> None:
    summary = summarise(results("11x0"))
    assert (summary.episodes, summary.success_rate, summary.wrong_object_rate) == (4, 0.5, 0.25)
    assert summary.interval == wilson_interval(2, 4)
    assert summary.mean_steps == 10


def test_a_comparison_counts_the_scenes_that_differ() -> None:
    comparison = compare(results("1110011111"), results("1001000011"))
    # Hand count: the first alone solves scenes 1, 2, 5, 6, 7; the second alone scene 3.
    assert (comparison.only_first, comparison.only_second) == (5, 1)
    assert comparison.difference == pytest.approx(0.4)
    assert comparison.p_value == pytest.approx(2 * (1 + 6) / 64)


def test_the_bootstrap_interval_is_the_normal_one_for_many_episodes() -> None:
    generator = np.random.default_rng(0)
    first = results("".join(generator.choice(["0", "1"], 400, p=[0.4, 0.6])))
    second = results("".join(generator.choice(["0", "1"], 400, p=[0.6, 0.4])))
    comparison = compare(first, second)
    differences = np.array([a.success - b.success for a, b in zip(first, second, strict=True)])
    half = 1.96 * differences.std(ddof=1) / 20
    expected = (comparison.difference - half, comparison.difference + half)
    assert comparison.interval == pytest.approx(expected, abs=0.01)


def test_results_of_different_scenes_are_not_compared() -> None:
    with pytest.raises(InvalidSetting, match="same scenes"):
        compare(results("11"), results("11")[::-1])
