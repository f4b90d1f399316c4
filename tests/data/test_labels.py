"""Monte-Carlo returns by hand, against a slower formula, and the unit interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_qsft.data import binary01_reward, check_returns, episode_returns, monte_carlo_returns
from vlm_qsft.errors import DatasetError, TargetOutOfRange


def test_returns_by_hand():
    assert episode_returns(np.array([0.0, 0.5, 0.0, 0.25]), 0.5).tolist() == [0.28125, 0.5625, 0.125, 0.25]


def test_returns_do_not_leak_from_one_episode_into_the_one_before():
    returns = monte_carlo_returns(np.array([0.0, 0.0, 0.0, 1.0]), np.array([2, 2]), 0.9)
    np.testing.assert_allclose(returns, [0, 0, 0.9, 1.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 1.0))
def test_returns_are_the_discounted_sums(reward: list[float], gamma: float):
    slow = [sum(gamma**k * r for k, r in enumerate(reward[step:])) for step in range(len(reward))]
    np.testing.assert_allclose(episode_returns(np.array(reward), gamma), slow, rtol=1e-5, atol=1e-6)


def test_nothing_is_counted_after_a_termination():
    terminated = np.array([False, True, False, True])
    returns = monte_carlo_returns(np.array([0.0, 1.0, 0.5, 1.0]), np.array([4]), 0.5, terminated=terminated)
    assert returns.tolist() == [0.5, 1.0, 1.0, 1.0]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7))
def test_returns_of_many_episodes_equal_those_of_each(lengths: list[int]):
    reward = np.random.default_rng(len(lengths)).normal(size=sum(lengths))
    parts = np.split(reward, np.cumsum(lengths)[:-1])
    expected = np.concatenate([episode_returns(part, 0.9) for part in parts])
    np.testing.assert_array_equal(monte_carlo_returns(reward, np.array(lengths), 0.9), expected)


def test_binary01_rewards_only_the_last_step_of_a_success():
    assert binary01_reward(3, success=True).tolist() == [0, 0, 1]
    assert binary01_reward(3, success=False).tolist() == [0, 0, 0]


def test_rewards_and_lengths_must_agree():
    with pytest.raises(DatasetError, match=r"3 rewards, but the episodes have 4 frames"):
        monte_carlo_returns(np.zeros(3), np.array([2, 2]), 1.0)


def test_rounding_is_tolerated_and_more_is_not():
    check_returns(np.array([-5e-5, 1.00005]), reward_rule="keep")
    with pytest.raises(TargetOutOfRange, match=r"rule 'keep' gives returns from 0 to 1.01"):
        check_returns(np.array([0.0, 1.01]), reward_rule="keep")
