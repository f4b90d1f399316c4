"""Splits by episode: complete, disjoint, stable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_qsft.data import split_episodes
from vlm_qsft.errors import InvalidSetting


@given(st.integers(2, 500), st.floats(0.0, 0.5), st.integers(0, 99))
def test_every_episode_is_on_exactly_one_side(n_episodes: int, fraction: float, seed: int):
    train, validation = split_episodes(n_episodes, fraction, seed)
    assert sorted([*train, *validation]) == list(range(n_episodes))
    assert len(validation) == (max(1, round(n_episodes * fraction)) if fraction > 0 else 0)


def test_the_split_is_the_same_everywhere_and_another_for_another_seed():
    assert split_episodes(20, 0.2, 0)[1].tolist() == [4, 10, 14, 16]
    assert split_episodes(20, 0.2, 1)[1].tolist() != [4, 10, 14, 16]


def test_the_order_of_episodes_in_the_split_does_not_depend_on_their_number():
    few, many = (set(split_episodes(n, 0.2, 7)[1].tolist()) for n in (50, 100))
    lowest_few = {index for index in many if index < 50}
    assert lowest_few <= few or few <= lowest_few


@pytest.mark.parametrize(("n_episodes", "fraction"), [(1, 0.1), (10, 1.0), (10, -0.1), (10, np.nan)])
def test_impossible_splits_are_refused(n_episodes: int, fraction: float):
    with pytest.raises(InvalidSetting):
        split_episodes(n_episodes, fraction, 0)
