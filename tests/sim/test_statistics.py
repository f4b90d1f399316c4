from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from qsft_sim.results import EpisodeResult
from qsft_sim.statistics import compare, mcnemar_p_value, summarise, summarise_counterfactual, wilson_interval
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
    assert summary.wrong_object_interval == wilson_interval(1, 4)
    assert summary.mean_steps == 10


def test_a_comparison_counts_the_scenes_that_differ() -> None:
    comparison = compare(results("1110011111"), results("1001000011"))
    # Hand count: the first alone solves scenes 1, 2, 5, 6, 7; the second alone scene 3.
    assert (comparison.only_first, comparison.only_second) == (5, 1)
    assert comparison.difference == pytest.approx(0.4)
    assert comparison.p_value == pytest.approx(2 * (1 + 6) / 64)


def test_a_comparison_counts_another_outcome_when_it_is_asked_for() -> None:
    comparison = compare(results("x10x"), results("1x0x"), outcome=lambda result: result.wrong_object)
    assert (comparison.only_first, comparison.only_second, comparison.difference) == (1, 1, 0.0)
    comparison = compare(results("xx1x"), results("1x00"), outcome=lambda result: result.wrong_object)
    assert (comparison.only_first, comparison.only_second, comparison.difference) == (2, 0, 0.5)


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


def twin(seed: int, colour: str, *, success: bool, handled: str) -> EpisodeResult:
    return replace(RESULT, seed=seed, instruction=f"pick up the {colour} cube", success=success, handled=handled)


# Scene 1: both followed. 2: deaf, the red cube whatever it is told. 3: nothing handled under one of the two.
TWINS = [
    twin(1, "red", success=True, handled="red cube"),
    twin(1, "blue", success=True, handled="blue cube"),
    twin(2, "red", success=True, handled="red cube"),
    twin(2, "blue", success=False, handled="red cube"),
    twin(3, "red", success=False, handled=""),
    twin(3, "blue", success=False, handled="blue cube"),
]


def test_the_counterfactual_summary_counts_scenes_by_hand() -> None:
    summary = summarise_counterfactual(TWINS)
    assert (summary.scenes, summary.both_followed, summary.one_followed) == (3, 1 / 3, 1 / 3)
    assert summary.interval == wilson_interval(1, 3)
    assert (summary.handled_twice, summary.same_object) == (2, 0.5)


def test_the_counterfactual_summary_does_not_depend_on_the_order_of_the_runs() -> None:
    assert summarise_counterfactual(TWINS[::-1]) == summarise_counterfactual(TWINS)
    assert summarise_counterfactual(TWINS[::2] + TWINS[1::2]) == summarise_counterfactual(TWINS)


def test_a_scene_whose_second_run_was_killed_does_not_count() -> None:
    assert summarise_counterfactual([*TWINS, twin(4, "red", success=True, handled="")]) == summarise_counterfactual(
        TWINS
    )


@pytest.mark.parametrize("alone", [[], TWINS[:1], TWINS[::2]])
def test_runs_without_a_second_instruction_are_refused(alone: list[EpisodeResult]) -> None:
    with pytest.raises(InvalidSetting, match="two of every scene"):
        summarise_counterfactual(alone)
