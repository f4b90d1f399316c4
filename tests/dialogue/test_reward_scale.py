"""Scaled rewards: every return in [0, 1], and the same order of policies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_qsft.dialogue import RewardScale
from vlm_qsft.errors import InvalidSetting


@given(
    st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=12),
    st.floats(0.5, 1.0),
    st.floats(-30.0, -12.0),
    st.floats(12.0, 30.0),
)
def test_the_scaled_return_is_the_return_on_the_scale_for_every_terminated_conversation(
    rewards: list[float], gamma: float, low: float, high: float
) -> None:
    reward = np.array(rewards)
    powers = gamma ** np.arange(len(reward))
    is_last = np.arange(len(reward)) == len(reward) - 1
    scale = RewardScale(low, high)
    scaled_return = float(powers @ scale.scaled(reward, gamma=gamma, is_last=is_last))
    assert scaled_return == pytest.approx((powers @ reward - low) / (high - low))
    assert scale.unscaled_value(scaled_return) == pytest.approx(powers @ reward)


def test_wordle_solved_at_the_third_guess_is_worth_four_sixths() -> None:
    scaled = RewardScale(-6.0, 0.0).scaled(
        np.array([-1.0, -1.0, 0.0]), gamma=1.0, is_last=np.array([False, False, True])
    )
    np.testing.assert_allclose(scaled, [-1 / 6, -1 / 6, 1.0])


def test_a_move_in_an_endless_maze_earns_nothing_and_the_goal_one() -> None:
    scaled = RewardScale(-10.0, 0.0).scaled(np.array([-1.0, 0.0]), gamma=0.9, is_last=np.array([False, True]))
    np.testing.assert_allclose(scaled, [0.0, 1.0], atol=1e-12)


def test_a_scale_without_extent_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="smaller, then a larger"):
        RewardScale(0.0, 0.0)


@given(st.integers(1, 20), st.integers(1, 20), st.floats(0.0, 1.0))
def test_costs_of_turns_fill_the_scale(n_turns: int, played: int, gamma: float) -> None:
    played = min(played, n_turns)
    scale, powers = RewardScale.of_costs(n_turns, gamma), gamma ** np.arange(played)
    is_last = np.arange(played) == played - 1
    failed = powers @ scale.scaled(np.full(played, -1.0), gamma=gamma, is_last=is_last)
    right = scale.scaled(np.append(np.full(played - 1, -1.0), 0.0), gamma=gamma, is_last=is_last)[-1]
    assert right == pytest.approx(1.0)
    assert -1e-9 <= failed <= 1.0
    assert played < n_turns or failed == pytest.approx(0.0, abs=1e-9)
