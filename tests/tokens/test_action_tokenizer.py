"""ActionTokenizer: bins by hand, round trips, and everything that it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vlm_qsft.errors import InvalidSetting, NotFinite, ShapeMismatch, UnknownName
from vlm_qsft.tokens import ActionTokenizer
from vlm_qsft.tokens.action_tokenizer import Strategy

NAMES = ("dx", "gripper")


def fit_by_hand(**changes) -> ActionTokenizer:
    """Four bins: dx from 0 to 8 (width 2), the gripper from -1 to 1 (centers -1, -1/3, 1/3, 1)."""
    actions = np.array([[0.0, -1.0], [8.0, 1.0]], dtype=np.float32)
    settings = {"action_names": NAMES, "n_bins": 4, "limits": {"dx": (0.0, 8.0)}, "gripper": ("gripper",)} | changes
    return ActionTokenizer.fit(actions, **settings)


def test_four_uniform_bins_have_five_edges_and_four_centers():
    tokenizer = fit_by_hand()
    np.testing.assert_allclose(tokenizer.edges[0], [0, 2, 4, 6, 8])
    np.testing.assert_allclose(tokenizer.centers[0], [1, 3, 5, 7])


def test_the_end_centers_of_a_gripper_are_exactly_its_extremes():
    tokenizer = fit_by_hand()
    assert tokenizer.centers[1, 0] == -1.0
    assert tokenizer.centers[1, -1] == 1.0
    np.testing.assert_allclose(tokenizer.centers[1], [-1, -1 / 3, 1 / 3, 1], atol=1e-15)


def test_encode_puts_values_into_the_bin_whose_lower_edge_they_reach():
    encoded = fit_by_hand().encode(np.array([[[0.0, -1.0]], [[1.99, 0.0]], [[2.0, 0.01]], [[8.0, 1.0]]]))
    assert encoded.bins.tolist() == [[[0, 0]], [[0, 2]], [[1, 2]], [[3, 3]]]
    assert encoded.bins.dtype == np.int64
    assert encoded.n_clipped == 0


def test_encode_clips_values_outside_the_range_and_counts_them():
    encoded = fit_by_hand().encode(np.array([[[-0.001, -1.2]], [[99.0, 0.0]]]))
    assert encoded.bins.tolist() == [[[0, 0]], [[3, 2]]]
    assert encoded.n_clipped == 3


def test_decode_returns_the_centers_in_float32():
    decoded = fit_by_hand().decode(np.array([[[0, 0]], [[3, 3]]]))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, np.array([[[1, -1]], [[7, 1]]], dtype=np.float32))


def test_decode_rejects_a_token_outside_the_action_range():
    tokenizer = fit_by_hand()
    for bad in (-1, 5, 31999):
        with pytest.raises(InvalidSetting, match=f"'gripper' got bin {bad}; an action has bins 0 to 3"):
            tokenizer.decode(np.array([[0, bad]]))


def test_decode_rejects_the_dummy_token():
    with pytest.raises(InvalidSetting, match=r"'dx' got the dummy token"):
        fit_by_hand().decode(np.array([[4, 0]]))


def test_decode_rejects_bins_that_are_no_integers():
    with pytest.raises(ShapeMismatch, match=r"float64; expected an integer"):
        fit_by_hand().decode(np.array([[0.0, 1.0]]))


def test_the_range_is_the_exact_1_and_99_percent_quantile():
    values = np.arange(101, dtype=np.float64)[:, None]
    tokenizer = ActionTokenizer.fit(values, action_names=("x",), n_bins=8)
    assert tokenizer.low[0] == 1.0
    assert tokenizer.high[0] == 99.0


def test_an_outlier_does_not_stretch_the_range():
    values = np.concatenate([np.linspace(-1, 1, 999), [1e6]])[:, None]
    assert ActionTokenizer.fit(values, action_names=("x",)).high[0] < 1.0


def test_quantile_bins_are_equally_frequent():
    values = np.random.default_rng(0).exponential(size=(20_000, 1))
    tokenizer = ActionTokenizer.fit(values, action_names=("x",), n_bins=16, strategy="quantile")
    bins = tokenizer.encode(values[:, None, :]).bins.ravel()
    inside = (values.ravel() > tokenizer.low[0]) & (values.ravel() < tokenizer.high[0])
    counts = np.bincount(bins[inside], minlength=16)
    assert counts.max() - counts.min() <= 2


def test_a_frequent_value_decodes_to_itself_with_quantile_bins():
    values = np.concatenate([np.zeros(900), np.linspace(-1, 1, 100)])[:, None]
    tokenizer = ActionTokenizer.fit(values, action_names=("x",), n_bins=16, strategy="quantile")
    bins = tokenizer.encode(np.zeros((1, 1))).bins
    assert tokenizer.decode(bins)[0, 0] == 0.0


def test_a_chunk_has_chunk_times_action_dim_tokens_step_major():
    tokenizer = fit_by_hand(chunk=3)
    assert tokenizer.n_tokens == 6
    bins = tokenizer.encode(np.array([[1.0, -1.0], [3.0, 1.0], [5.0, -1.0]])).bins
    assert bins.reshape(6).tolist() == [0, 0, 1, 3, 2, 0]


def test_normalize_maps_the_range_to_minus_one_and_one_and_back():
    tokenizer = fit_by_hand()
    np.testing.assert_allclose(
        tokenizer.normalize(np.array([[0.0, -1.0], [4.0, 0.0], [8.0, 1.0]])), [[-1] * 2, [0] * 2, [1] * 2]
    )
    np.testing.assert_allclose(tokenizer.denormalize(np.array([[0.5, -0.5]])), [[6.0, -0.5]])


def test_json_keeps_every_bit():
    values = np.random.default_rng(1).normal(size=(500, 2))
    tokenizer = ActionTokenizer.fit(values, action_names=NAMES, gripper=("gripper",), strategy="quantile", chunk=2)
    again = ActionTokenizer.from_json(tokenizer.to_json())
    assert again == tokenizer
    assert again.edges.tobytes() == tokenizer.edges.tobytes()
    assert again.centers.tobytes() == tokenizer.centers.tobytes()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}'])
def test_from_json_refuses_what_is_no_tokenizer(text: str):
    with pytest.raises(InvalidSetting, match=r"Not the record of an action tokenizer"):
        ActionTokenizer.from_json(text)


def test_from_json_refuses_another_version():
    text = fit_by_hand().to_json().replace('"version": 1', '"version": 7')
    with pytest.raises(InvalidSetting, match=r"version 7; this library reads version 1"):
        ActionTokenizer.from_json(text)


def test_encode_names_the_dimension_that_is_nan():
    with pytest.raises(NotFinite, match=r"'gripper' is nan in row 1"):
        fit_by_hand().encode(np.array([[[1.0, 0.0]], [[1.0, np.nan]]]))


def test_fit_names_the_dimension_that_is_infinite():
    with pytest.raises(NotFinite, match=r"'dx' is inf in row 0"):
        ActionTokenizer.fit(np.array([[np.inf, 0.0], [0.0, 1.0]]), action_names=NAMES)


def test_encode_refuses_an_action_of_the_wrong_size():
    with pytest.raises(
        ShapeMismatch, match=r"\(4, 1, 3\); expected \(..., 1, 2\): chunk of 1 control steps of dx, gripper"
    ):
        fit_by_hand().encode(np.zeros((4, 1, 3)))


def test_fit_refuses_actions_of_the_wrong_size_and_no_actions():
    for shape in ((5, 3), (5,), (0, 2)):
        with pytest.raises(ShapeMismatch, match=r"expected \(frames, 2\) for dx, gripper"):
            ActionTokenizer.fit(np.zeros(shape), action_names=NAMES)


def test_a_constant_dimension_is_named_and_the_remedy_told():
    actions = np.array([[0.0, 5.0], [1.0, 5.0]])
    with pytest.raises(InvalidSetting, match=r"'gripper' is constant in these data \(5.0\).*limits=\{'gripper'"):
        ActionTokenizer.fit(actions, action_names=NAMES)


def test_limits_and_grippers_must_name_dimensions():
    with pytest.raises(UnknownName, match=r"Did you mean 'gripper'"):
        fit_by_hand(gripper=("griper",))
    with pytest.raises(UnknownName, match=r"'dz' is not known in limits"):
        fit_by_hand(limits={"dz": (0.0, 1.0)})


@pytest.mark.parametrize("limits", [(1.0, 1.0), (2.0, 1.0), (0.0, np.nan)])
def test_empty_limits_are_refused(limits: tuple[float, float]):
    with pytest.raises(InvalidSetting, match=r"Limits of action dimension 'dx'"):
        fit_by_hand(limits={"dx": limits})


@pytest.mark.parametrize("changes", [{"n_bins": 1}, {"chunk": 0}, {"action_names": ("dx", "dx")}])
def test_impossible_settings_are_refused(changes: dict):
    with pytest.raises(InvalidSetting):
        fit_by_hand(**changes)


def test_an_unknown_strategy_lists_the_known_ones():
    with pytest.raises(UnknownName, match=r"Valid: quantile, uniform"):
        fit_by_hand(strategy="log")


def test_the_bins_of_a_tokenizer_cannot_be_written():
    with pytest.raises(ValueError, match=r"read-only"):
        fit_by_hand().centers[0, 0] = 3.0


@given(arrays(np.float64, (7, 1, 2), elements=st.floats(-1e3, 1e3)), st.integers(2, 300))
def test_a_round_trip_is_off_by_half_a_bin_at_most(actions: np.ndarray, n_bins: int):
    tokenizer = fit_by_hand(n_bins=n_bins)
    decoded = tokenizer.decode(tokenizer.encode(actions).bins)
    clipped = np.clip(actions, tokenizer.low, tokenizer.high)
    half_bin = np.array([8.0, 2.0 * n_bins / (n_bins - 1)]) / n_bins / 2.0
    assert (np.abs(decoded - clipped) <= half_bin + 1e-5).all()


@given(st.integers(2, 300), st.sampled_from(["uniform", "quantile"]))
def test_encode_inverts_decode_for_every_bin(n_bins: int, strategy: Strategy):
    values = np.random.default_rng(n_bins).normal(size=(1000, 2))
    tokenizer = ActionTokenizer.fit(values, action_names=NAMES, n_bins=n_bins, strategy=strategy, gripper=("gripper",))
    bins = np.stack([np.arange(n_bins)] * 2, axis=-1)[:, None, :]
    again = tokenizer.encode(tokenizer.centers[np.arange(2), bins])
    np.testing.assert_array_equal(again.bins, bins)
    assert again.n_clipped == 0
