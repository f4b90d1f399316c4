"""Every rule by hand: raw rewards, mapped rewards, mapped returns, and the Bellman equation between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_qsft.data import LabelSettings
from vlm_qsft.data.episode import columns_of_rewards
from vlm_qsft.data.labels import keep_labels, rewards_for_gamma
from vlm_qsft.data.returns import discounted_sums
from vlm_qsft.data.reward_rules import RawRewards
from vlm_qsft.errors import InvalidSetting, UnknownName

OUTCOMES = [(True, True), (False, True), (False, False), (True, False)]


def columns(labels: LabelSettings, length: int, *, success: bool, terminated: bool):
    raw = labels.raw_rewards(length, success=success, terminated=terminated)
    return columns_of_rewards(raw, labels, success=success, truncated=not terminated)


def test_vgps_pays_nothing_on_the_way_and_one_on_each_of_the_last_three_steps_of_a_success():
    labels = LabelSettings("vgps", 0.5, "hand")
    raw = labels.raw_rewards(5, success=True, terminated=True)
    assert raw.reward.tolist() == [-1, -1, 0, 0, 0]
    assert raw.ends.tolist() == [False, False, True, True, True]
    mapped = columns(labels, 5, success=True, terminated=True)
    # r' = (1 - gamma)(r + 1) = 0 on a step that goes on, (1 - gamma) r + 1 = 1 on one that ends
    assert mapped.reward.tolist() == [0, 0, 1, 1, 1]
    assert mapped.terminated.tolist() == [False, False, True, True, True]
    assert mapped.success.tolist() == [False, False, False, False, True]
    # raw returns -1.5, -1, 0, 0, 0; G' = 1 + (1 - gamma) G
    assert mapped.mc_return.tolist() == [0.25, 0.5, 1, 1, 1]


def test_vgps_values_a_failure_at_the_worst_return_however_it_ended():
    labels = LabelSettings("vgps", 0.75, "hand")
    for terminated in (False, True):
        mapped = columns(labels, 4, success=False, terminated=terminated)
        assert mapped.reward.tolist() == [0, 0, 0, 0]
        assert mapped.mc_return.tolist() == [0, 0, 0, 0]
        assert mapped.terminated.tolist() == [False, False, False, terminated]
    assert labels.return_mapping.raw_returns(np.zeros(1)).tolist() == [-4]  # -1 / (1 - gamma), -1 for ever


def test_vgps_ends_a_success_of_one_step_at_once():
    mapped = columns(LabelSettings("vgps", 0.9, "hand"), 1, success=True, terminated=True)
    assert (mapped.reward.tolist(), mapped.mc_return.tolist()) == ([1], [1])


def test_vgps_is_refused_without_a_discount():
    with pytest.raises(InvalidSetting, match=r"'vgps' needs gamma below 1"):
        LabelSettings("vgps", 1.0, "hand")


def test_recap_without_discount_counts_the_steps_and_charges_failures():
    labels = LabelSettings("recap", 1.0, "hand", failure_penalty=4.0, longest=5)
    assert labels.raw_rewards(3, success=True, terminated=True).reward.tolist() == [-1, -1, 0]
    assert labels.raw_rewards(3, success=False, terminated=False).reward.tolist() == [-1, -1, -4]
    # W = 5 - 1 + 4 = 8
    success = columns(labels, 3, success=True, terminated=True)
    assert success.reward.tolist() == [-0.125, -0.125, 1]
    assert success.mc_return.tolist() == [0.75, 0.875, 1]
    failure = columns(labels, 5, success=False, terminated=False)
    assert failure.reward.tolist() == [-0.125, -0.125, -0.125, -0.125, 0.5]
    assert failure.mc_return.tolist() == [0, 0.125, 0.25, 0.375, 0.5]
    # the charge at the end is final, although the recording was cut off
    assert failure.terminated.tolist() == [False] * 4 + [True]
    assert failure.truncated.tolist() == [False] * 4 + [True]


def test_recap_with_discount_by_hand():
    labels = LabelSettings("recap", 0.5, "hand", failure_penalty=3.0, longest=3)
    # returns of a failure of three steps: -1 - 0.5 (1 + 0.5 * 3) = -2.25, -2.5, -3: the worst is one step of C
    mapped = columns(labels, 3, success=False, terminated=True)
    np.testing.assert_allclose(mapped.mc_return, [1 - 2.25 / 3, 1 - 2.5 / 3, 0], atol=1e-7)
    # r' = -1/3 + (1 - gamma), r' = -3/3 + 1
    np.testing.assert_allclose(mapped.reward, [1 / 6, 1 / 6, 0], atol=1e-7)


def test_recap_with_a_penalty_of_the_longest_episode_puts_every_failure_below_every_success():
    labels = LabelSettings("recap", 1.0, "hand", failure_penalty=40.0, longest=40)
    worst_success = columns(labels, 40, success=True, terminated=True).mc_return.min()
    best_failure = columns(labels, 1, success=False, terminated=True).mc_return.max()
    assert best_failure < worst_success


def test_recap_waits_for_the_longest_episode():
    with pytest.raises(InvalidSetting, match=r"normalises by the longest episode.*qsft label FOLDER --rule recap"):
        _ = LabelSettings("recap", 1.0, "hand", failure_penalty=1.0).return_mapping


def test_keep_leaves_scaled_rewards_alone():
    reward = np.array([0.0, 0.5, 0.0, 0.25])
    labels = keep_labels(reward, np.array([False, False, False, True]), np.array([4]), gamma=1.0, source="hand")
    assert (labels.lowest_return, labels.highest_return) == (0.0, 1.0)
    assert labels.return_mapping.rewards(reward, np.array([False, False, False, True]), 1.0).tolist() == reward.tolist()


def test_keep_maps_the_extreme_returns_to_the_borders():
    # returns 5, 4 (terminated, gamma 0.5: 3 + 0.5 * 4) and -2, -2 (-1 + 0.5 * -2)
    reward, ends = np.array([3.0, 4.0, -1.0, -2.0]), np.array([False, True, False, True])
    labels = keep_labels(reward, ends, np.array([2, 2]), gamma=0.5, source="hand")
    assert (labels.lowest_return, labels.highest_return) == (-2.0, 5.0)
    mapped = labels.return_mapping.rewards(reward, ends, 0.5)
    # scale 1/7, offset 2/7: 3/7 + 1/7, 4/7 + 2/7, -1/7 + 1/7, -2/7 + 2/7
    np.testing.assert_allclose(mapped, [4 / 7, 6 / 7, 0, 0], atol=1e-12)
    np.testing.assert_allclose(discounted_sums(mapped, np.array([2, 2]), 0.5, terminated=ends), [1, 6 / 7, 0, 0])


def test_keep_lets_the_worst_return_follow_a_cut():
    # -1 per step, cut off: -1 for ever is -1 / (1 - 0.5) = -2, and every step is worth that
    reward, ends = np.array([-1.0, -1.0]), np.zeros(2, bool)
    labels = keep_labels(reward, ends, np.array([2]), gamma=0.5, source="hand")
    assert labels.lowest_return == -2.0
    mapped = labels.return_mapping.rewards(reward, ends, 0.5)
    np.testing.assert_allclose(discounted_sums(mapped, np.array([2]), 0.5, terminated=ends), [0, 0], atol=1e-12)


def test_keep_refuses_a_cut_without_bound_and_names_the_episode():
    with pytest.raises(InvalidSetting, match=r"Episode 1 was cut off with a negative sum"):
        keep_labels(np.array([3.0, -1.0]), np.array([True, False]), np.array([1, 1]), gamma=1.0, source="hand")


@pytest.mark.parametrize(("success", "terminated"), OUTCOMES)
@given(length=st.integers(1, 9), gamma=st.floats(0.05, 0.99), penalty=st.floats(0, 50))
def test_stored_columns_obey_the_bellman_equation_and_invert(
    success: bool, terminated: bool, length: int, gamma: float, penalty: float
):
    """Mapped and raw returns from two slow sums; both must agree with the columns through the mapping."""
    for labels in (
        LabelSettings("binary01", gamma, "hand"),
        LabelSettings("vgps", gamma, "hand"),
        LabelSettings("recap", gamma, "hand", failure_penalty=penalty, longest=9),
        LabelSettings("recap", 1.0, "hand", failure_penalty=penalty, longest=9),
    ):
        raw = labels.raw_rewards(length, success=success, terminated=terminated)
        stored = columns_of_rewards(raw, labels, success=success, truncated=not terminated)
        mapping = labels.return_mapping
        after_cut = -mapping.offset / mapping.scale
        for step in range(length):
            mapped_sum, raw_sum, discount = 0.0, 0.0, 1.0
            for later in range(step, length):
                mapped_sum += discount * float(stored.reward[later])
                raw_sum += discount * float(raw.reward[later])
                discount *= 0.0 if raw.ends[later] else labels.gamma
            raw_sum += discount * after_cut
            assert stored.mc_return[step] == pytest.approx(mapped_sum, abs=1e-5)
            assert -1e-6 <= mapped_sum <= 1 + 1e-6
            assert stored.mc_return[step] == pytest.approx(mapping.offset + mapping.scale * raw_sum, abs=1e-5)
        np.testing.assert_allclose(mapping.raw_returns(mapping.returns(raw.reward)), raw.reward, rtol=1e-9, atol=1e-9)
        back = mapping.raw_rewards(mapping.rewards(raw.reward, raw.ends, labels.gamma), raw.ends, labels.gamma)
        np.testing.assert_allclose(back, raw.reward, rtol=1e-9, atol=1e-9)


@given(
    st.lists(st.lists(st.floats(-3, 3), min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(0, 15),
    st.floats(0.3, 0.99),
)
def test_keep_brings_any_rewards_into_the_unit_interval(episodes: list[list[float]], endings: int, gamma: float):
    reward, lengths = np.concatenate(episodes), np.array([len(part) for part in episodes])
    ends = np.zeros(len(reward), bool)
    ends[np.cumsum(lengths) - 1] = [bool(endings >> number & 1) for number in range(len(episodes))]
    labels = keep_labels(reward, ends, lengths, gamma=gamma, source="hand")
    mapped = labels.return_mapping.rewards(reward, ends, gamma)
    returns = discounted_sums(mapped, lengths, gamma, terminated=ends)
    assert returns.min() >= -1.1e-4 and returns.max() <= 1 + 1.1e-4


def test_rewards_for_another_gamma_equal_labelling_with_it():
    lengths = np.array([4, 2])
    for labels in (
        LabelSettings("recap", 0.9, "hand", failure_penalty=6.0, longest=4),
        LabelSettings("vgps", 0.9, "hand"),
        LabelSettings("binary01", 0.9, "hand"),
    ):
        both = [columns(labels, 4, success=True, terminated=True), columns(labels, 2, success=False, terminated=False)]
        other = replace(labels, gamma=0.6)
        expected = [
            columns(other, 4, success=True, terminated=True),
            columns(other, 2, success=False, terminated=False),
        ]
        changed = rewards_for_gamma(
            labels,
            0.6,
            reward=np.concatenate([part.reward for part in both]),
            terminated=np.concatenate([part.terminated for part in both]),
            lengths=lengths,
        )
        np.testing.assert_allclose(changed, np.concatenate([part.reward for part in expected]), atol=1e-6)


def test_rewards_kept_from_the_source_are_scaled_anew_for_another_gamma():
    reward, ends = np.array([1.0, 1.0, 1.0]), np.array([False, False, True])
    labels = keep_labels(reward, ends, np.array([3]), gamma=0.5, source="hand")
    mapped = labels.return_mapping.rewards(reward, ends, 0.5).astype(np.float32)
    changed = rewards_for_gamma(labels, 1.0, reward=mapped, terminated=ends, lengths=np.array([3]))
    # returns 3, 2, 1 become 1, 0.5, 0
    np.testing.assert_allclose(discounted_sums(changed, np.array([3]), 1.0, terminated=ends), [1, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [
        LabelSettings("vgps", 0.98, "path"),
        LabelSettings("recap", 1.0, "csv", failure_penalty=7.5, longest=12),
        LabelSettings("keep", 0.9, "flag", lowest_return=-3.0, highest_return=2.5),
    ],
)
def test_settings_are_read_back_as_written(labels: LabelSettings):
    record = labels.to_record()
    assert LabelSettings.from_record(record) == labels
    mapping = labels.return_mapping
    assert record["return_mapping"] == {"scale": mapping.scale, "offset": mapping.offset}


def test_a_rule_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(UnknownName, match=r"Valid: binary01, keep, recap, vgps"):
        LabelSettings("vpgs", 0.9, "hand")


def test_keep_has_no_rewards_of_its_own():
    with pytest.raises(InvalidSetting, match=r"takes the rewards of the source"):
        LabelSettings("keep", 0.9, "hand").raw_rewards(3, success=True, terminated=True)


def test_mapped_rewards_have_no_rounding_noise_where_they_are_zero():
    labels = LabelSettings("vgps", 0.97, "hand")
    raw = RawRewards(np.array([-1.0, -1.0 / (1 - 0.97)]), np.array([False, True]))
    assert columns_of_rewards(raw, labels, success=False, truncated=False).reward.tolist() == [0.0, 0.0]
