from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.training.transition_table import transition_table

# Two episodes: frames 0-3 end in success (terminated), frames 4-6 were cut off (truncated).
REWARD = np.array([0.0, 0.1, 0.0, 1.0, 0.2, 0.0, 0.3], np.float32)
TERMINATED = np.array([0, 0, 0, 1, 0, 0, 0], bool)
STOP = np.array([4, 4, 4, 4, 7, 7, 7])


def test_two_steps_ahead_by_hand() -> None:
    table = transition_table(REWARD, TERMINATED, STOP, gamma=0.5, horizon=2)
    assert table.reward.tolist() == pytest.approx([0.05, 0.1, 0.5, 1.0, 0.2, 0.15, 0.3])
    assert table.discount.tolist() == [0.25, 0.25, 0.25, 0.5, 0.25, 0.25, 0.5]
    assert table.next_frame.tolist() == [2, 3, 3, 3, 6, 6, 6]
    # Frames 2 and 3 reach the termination within two steps; frames 5 and 6 only the truncation.
    assert table.bootstrap_mask.tolist() == [True, True, False, False, True, True, True]


def test_a_horizon_of_one_step_is_the_ordinary_transition() -> None:
    table = transition_table(REWARD, TERMINATED, STOP, gamma=0.5, horizon=1)
    assert table.reward.tolist() == REWARD.tolist()
    assert table.discount.tolist() == [0.5] * 7
    assert table.next_frame.tolist() == [1, 2, 3, 3, 5, 6, 6]
    assert table.bootstrap_mask.tolist() == [True, True, True, False, True, True, True]


def test_a_horizon_longer_than_every_episode_gives_monte_carlo_returns_after_a_termination() -> None:
    table = transition_table(REWARD, TERMINATED, STOP, gamma=0.5, horizon=9)
    assert table.reward[:4].tolist() == pytest.approx([0.05 + 0.125, 0.1 + 0.25, 0.5, 1.0])
    assert not table.bootstrap_mask[:4].any()
    assert table.discount[4:].tolist() == [0.125, 0.25, 0.5]


def test_nothing_is_collected_past_a_termination_before_the_end_of_the_recording() -> None:
    # Rule vgps: the last three steps of the first episode are at the goal, each ends by itself.
    reward = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0], np.float32)
    terminated = np.array([0, 1, 1, 1, 0, 0], bool)
    stop = np.array([4, 4, 4, 4, 6, 6])
    table = transition_table(reward, terminated, stop, gamma=0.5, horizon=3)
    assert table.reward.tolist() == [0.5, 1.0, 1.0, 1.0, 0.0, 0.0]
    assert table.bootstrap_mask.tolist() == [False, False, False, False, True, True]
    assert table.discount[4:].tolist() == [0.25, 0.5]
    one_step = transition_table(reward, terminated, stop, gamma=0.5, horizon=1)
    assert one_step.bootstrap_mask.tolist() == [True, False, False, False, True, True]


def test_a_horizon_that_nothing_can_count_to_takes_no_time() -> None:
    longest = transition_table(REWARD, TERMINATED, STOP, gamma=0.5, horizon=2**31 - 1)
    assert longest.reward.tolist() == transition_table(REWARD, TERMINATED, STOP, gamma=0.5, horizon=4).reward.tolist()
