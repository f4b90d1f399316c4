from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_qsft.errors import InvalidSetting, NotFinite, ShapeMismatch
from vlm_qsft.qsft import EXTRACTIONS, in_support, log_likelihood_ratio, max_ratio, sft, value_from_overlap

NAMES = sorted(EXTRACTIONS)
logits = st.one_of(st.floats(-30, 30, width=32), st.just(-math.inf))
temperatures = st.floats(0.05, 5)
inverse_temperatures = st.floats(0, 100.0)
supports = st.floats(0, 1)


@st.composite
def log_probabilities(draw):
    """log p_theta over bins and dummy, log pi_phi over bins; some bins impossible for either, but never all."""
    n_bins = draw(st.integers(2, 6))
    p = draw(st.lists(logits, min_size=n_bins + 1, max_size=n_bins + 1).filter(lambda x: max(x[:-1]) > -math.inf))
    pi = draw(st.lists(logits, min_size=n_bins, max_size=n_bins).filter(lambda x: max(x) > -math.inf))
    return torch.tensor(p).log_softmax(-1), torch.tensor(pi).log_softmax(-1)


def slow_distribution(weights):
    return [weight / sum(weights) for weight in weights]


@settings(max_examples=40)
@given(pair=log_probabilities(), temperature=temperatures, support=supports)
@pytest.mark.parametrize("name", ["ratio", "likelihood", "power"])
def test_inverse_temperature_zero_is_exactly_sft(name, pair, temperature, support):
    log_p, log_pi = pair
    extracted = EXTRACTIONS[name](log_p, log_pi, inverse_temperature=0.0, temperature=temperature, support=support)
    assert torch.equal(extracted, sft(log_pi, temperature=temperature, support=support))


@settings(max_examples=40)
@given(pair=log_probabilities())
def test_sft_at_temperature_one_and_full_support_is_the_behavior_policy(pair):
    _, log_pi = pair
    torch.testing.assert_close(sft(log_pi, temperature=1.0, support=0.0), log_pi)


@settings(max_examples=40)
@given(pair=log_probabilities(), inverse=inverse_temperatures, temperature=temperatures, support=supports)
@pytest.mark.parametrize("name", NAMES)
def test_extraction_is_normalised_without_nan_and_stays_in_support(name, pair, inverse, temperature, support):
    log_p, log_pi = pair
    extracted = EXTRACTIONS[name](log_p, log_pi, inverse_temperature=inverse, temperature=temperature, support=support)
    assert not torch.isnan(extracted).any()
    assert extracted.exp().sum().item() == pytest.approx(1, abs=1e-5)
    reference = (log_p[:-1] - log_p[:-1].logsumexp(-1)).exp() if name == "single" else log_pi.exp()
    outside = (reference < support / len(reference) * (1 - 1e-5)) & (reference < reference.max())
    assert (extracted[outside] == -math.inf).all()
    assert (extracted[reference == 0] == -math.inf).all()


@settings(max_examples=40)
@given(pair=log_probabilities(), inverse=inverse_temperatures, support=supports)
@pytest.mark.parametrize("name", NAMES)
def test_temperature_zero_chooses_the_most_likely_bin_of_temperature_one(name, pair, inverse, support):
    log_p, log_pi = pair
    greedy = EXTRACTIONS[name](log_p, log_pi, inverse_temperature=inverse, temperature=0.0, support=support)
    warm = EXTRACTIONS[name](log_p, log_pi, inverse_temperature=inverse, temperature=1.0, support=support)
    assert sorted(greedy.exp().tolist()) == [0.0] * (len(greedy) - 1) + [1.0]
    assert warm[greedy.argmax()].item() == pytest.approx(warm.max().item(), abs=1e-5)


def test_ratio_extraction_agrees_with_its_formula_term_by_term():
    pi, p = [0.5, 0.3, 0.2], [0.1, 0.27, 0.3, 0.33]
    # Q = 0.2, 0.9, and 1.5 capped at 1
    expected = slow_distribution(
        [math.exp(math.log(chance) / 0.5 + 4 * q) for chance, q in zip(pi, [0.2, 0.9, 1.0], strict=True)]
    )
    extracted = EXTRACTIONS["ratio"](
        torch.tensor(p).log(), torch.tensor(pi).log(), inverse_temperature=4.0, temperature=0.5, support=0.0
    )
    np.testing.assert_allclose(extracted.exp(), expected, rtol=1e-5)


def test_likelihood_extraction_agrees_with_its_formula_term_by_term():
    pi, p = [0.5, 0.3, 0.2], [0.1, 0.27, 0.3, 0.33]
    expected = slow_distribution([chance * math.exp(4 * q) for chance, q in zip(pi, p, strict=False)])
    extracted = EXTRACTIONS["likelihood"](
        torch.tensor(p).log(), torch.tensor(pi).log(), inverse_temperature=4.0, temperature=1.0, support=0.0
    )
    np.testing.assert_allclose(extracted.exp(), expected, rtol=1e-5)


def test_power_extraction_agrees_with_its_formula_term_by_term():
    pi, p = [0.5, 0.3, 0.2], [0.1, 0.27, 0.3, 0.33]
    # Q = 0.2, 0.9 and 1.5, which is not capped
    expected = slow_distribution([chance**2 * q**1.5 for chance, q in zip(pi, [0.2, 0.9, 1.5], strict=True)])
    extracted = EXTRACTIONS["power"](
        torch.tensor(p).log(), torch.tensor(pi).log(), inverse_temperature=1.5, temperature=0.5, support=0.0
    )
    np.testing.assert_allclose(extracted.exp(), expected, rtol=1e-5)


@settings(max_examples=40)
@given(
    p=st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=4),
    pi=st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3),
)
def test_the_first_power_is_single(p, pi):
    log_p, log_pi = torch.tensor(p).log_softmax(-1), torch.tensor(pi).log_softmax(-1)
    arguments = {"inverse_temperature": 1.0, "temperature": 1.0, "support": 0.0}
    torch.testing.assert_close(
        EXTRACTIONS["power"](log_p, log_pi, **arguments),
        EXTRACTIONS["single"](log_p, None, **arguments),
        atol=1e-4,
        rtol=1e-4,
    )


def test_where_nothing_in_support_is_worth_anything_power_is_the_behavior_policy():
    log_p, log_pi = torch.tensor([0.0, 0.0, 1.0]).log(), torch.tensor([0.7, 0.3]).log()
    extracted = EXTRACTIONS["power"](log_p, log_pi, inverse_temperature=2.0, temperature=1.0, support=0.0)
    np.testing.assert_allclose(extracted.exp(), [0.7, 0.3], rtol=1e-5)


def test_single_extraction_drops_the_dummy_and_needs_no_behavior_policy():
    extracted = EXTRACTIONS["single"](
        torch.tensor([0.1, 0.3, 0.6]).log(), None, inverse_temperature=9.0, temperature=0.5, support=0.0
    )
    np.testing.assert_allclose(extracted.exp(), [0.1, 0.9], rtol=1e-5)  # (1 : 3) squared is 1 : 9


def test_support_is_relative_to_the_uniform_distribution():
    log_pi = torch.tensor([0.70, 0.16, 0.14]).log()
    assert in_support(log_pi, 0.45).tolist() == [True, True, False]  # the floor is 0.45 / 3 = 0.15
    assert in_support(log_pi, 0.0).tolist() == [True, True, True]
    # Above 1 where most bins are never chosen: what is likelier than that competes, and the most likely one always.
    assert in_support(log_pi, 1.8).tolist() == [True, False, False]  # 0.6
    assert in_support(log_pi, 2.7).tolist() == [True, False, False]  # 0.9


def test_the_most_likely_bin_competes_even_where_rounding_puts_it_below_the_floor():
    assert in_support(torch.full((7,), math.log(1 / 7)) - 1e-6, 1.0).all()


def test_greedy_extraction_still_looks_at_the_q_values():
    log_pi, log_p = torch.tensor([0.6, 0.4]).log(), torch.tensor([0.06, 0.36, 0.58]).log()  # Q = 0.1, 0.9
    arguments = {"inverse_temperature": 4.0, "temperature": 0.0, "support": 0.0}
    assert EXTRACTIONS["ratio"](log_p, log_pi, **arguments).argmax().item() == 1
    assert sft(log_pi, temperature=0.0, support=0.0).argmax().item() == 0


def test_tiny_temperature_does_not_push_every_bin_to_minus_infinity():
    extracted = sft(torch.tensor([0.6, 0.4]).log(), temperature=1e-38, support=0.0)
    assert extracted.exp().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("support", [0.0, 0.5])
def test_nan_is_an_error_and_never_a_bin(name, temperature, support):
    log_p, log_pi = torch.tensor([0.2, math.nan, 0.5]).log(), torch.tensor([math.nan, 0.5]).log()
    with pytest.raises(NotFinite):
        EXTRACTIONS[name](log_p, log_pi, inverse_temperature=1.0, temperature=temperature, support=support)


def test_no_possible_bin_is_an_error():
    with pytest.raises(NotFinite):
        sft(torch.full((3,), -math.inf), temperature=1.0, support=0.3)


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"temperature": math.nan}, {"inverse_temperature": -0.1}, {"support": -0.1}]
)
@pytest.mark.parametrize("name", NAMES)
def test_settings_outside_their_range_are_named(name, wrong):
    arguments = {"inverse_temperature": 1.0, "temperature": 1.0, "support": 0.0} | wrong
    log_p, log_pi = torch.tensor([0.2, 0.3, 0.5]).log(), torch.tensor([0.5, 0.5]).log()
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        EXTRACTIONS[name](log_p, log_pi, **arguments)


def test_ratio_without_a_behavior_policy_says_which_extraction_works():
    with pytest.raises(InvalidSetting, match="single"):
        EXTRACTIONS["ratio"](torch.zeros(3), None, inverse_temperature=1.0, temperature=1.0, support=0.0)


def test_ratio_rejects_log_probabilities_without_the_dummy_column():
    with pytest.raises(ShapeMismatch, match="dummy"):
        log_likelihood_ratio(torch.zeros(2, 4), torch.zeros(2, 4), clip=True)


def test_a_bin_that_was_never_chosen_has_ratio_zero_and_cannot_win_the_maximum():
    log_pi = torch.tensor([0.75, 0.25, 0.0]).log()
    log_p = torch.tensor([0.15, 0.10, 0.40, 0.35]).log()
    np.testing.assert_allclose(log_likelihood_ratio(log_p, log_pi, clip=True).exp(), [0.2, 0.4, 0.0], rtol=1e-6)
    assert max_ratio(log_p, log_pi, support=0.0, clip=False).item() == pytest.approx(0.4)
    assert max_ratio(log_p, log_pi, support=1.0, clip=False).item() == pytest.approx(0.2)
    assert value_from_overlap(log_p, log_pi).item() == pytest.approx(0.25)
