"""Decisions against the formulas, written out again from teacher-forced log-probabilities."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vlm_qsft.errors import InvalidSetting, NotFinite, ShapeMismatch, UnknownName
from vlm_qsft.model import inputs_from_observation
from vlm_qsft.policy import PolicySettings, QPolicy
from vlm_qsft.policy.decoding import FusedDecoding, PairDecoding
from vlm_qsft.types import Decision, Observation

from .conftest import INSTRUCTION, INSTRUCTIONS, N_BINS

ALL = [
    PolicySettings("sft", temperature=0.5),
    PolicySettings("ratio", temperature=0.7, inverse_temperature=4.0),
    PolicySettings("likelihood", temperature=1.0, inverse_temperature=8.0, support=0.0),
    PolicySettings("single", temperature=0.5, support=0.1),
    PolicySettings("ratio", temperature=0.7, inverse_temperature=4.0, candidates=3),
    PolicySettings("power", temperature=0.7, inverse_temperature=1.5),
]
NAMES = [f"{settings.extraction}-{settings.candidates}" for settings in ALL]


def decided(checkpoint, settings, observation, *, seed: int = 3, **policy) -> Decision:
    made = QPolicy(checkpoint, settings, "cpu", **policy)
    made.reset(INSTRUCTION, seed=seed)
    return made.act(observation)


@torch.inference_mode()
def teacher_forced(scorer, checkpoint, observation, decision) -> np.ndarray:
    """Return log-probabilities over bins and dummy of every token, float64, given the decision's bins before it."""
    text, text_mask = scorer.encode_instructions([INSTRUCTION])
    inputs = inputs_from_observation(observation, checkpoint.spec, text=text, text_mask=text_mask)
    bins = torch.from_numpy(decision.action_bins).reshape(1, -1)
    return scorer.log_probs(inputs, bins)[0].numpy().astype(np.float64)


def expected_probabilities(settings, log_p, log_pi_and_dummy) -> np.ndarray:
    """Return the distributions of the extraction formulas, in plain float64 probabilities."""
    pi = np.exp(log_pi_and_dummy[:, :-1])
    pi /= pi.sum(1, keepdims=True)
    p = np.exp(log_p[:, :-1])
    prior = p / p.sum(1, keepdims=True) if settings.extraction == "single" else pi
    tilts = {"ratio": np.minimum(1.0, p / pi), "likelihood": p, "power": np.log(p / pi)}
    tilt = tilts.get(settings.extraction, 0 * p)
    weights = prior ** (1 / settings.temperature) * np.exp(settings.inverse_temperature * tilt)
    weights[(prior < settings.support / N_BINS) & (prior < prior.max(1, keepdims=True))] = 0.0
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_the_distributions_are_those_of_the_formula(checkpoint, observe, settings):
    whole, observation = checkpoint(), observe()
    decision = decided(whole, settings, observation, explain=True)
    log_p = teacher_forced(whole.q_model, whole, observation, decision)
    log_pi = teacher_forced(whole.behavior, whole, observation, decision)
    expected = expected_probabilities(settings, log_p, log_pi)
    assert decision.probabilities.reshape(4, N_BINS) == pytest.approx(expected, abs=1e-5)
    pi = np.exp(log_pi[:, :-1]) / np.exp(log_pi[:, :-1]).sum(1, keepdims=True)
    ratio = np.minimum(1.0, np.exp(log_p[:, :-1]) / pi)
    assert decision.q_values.reshape(4, N_BINS) == pytest.approx(ratio, abs=1e-4)
    assert decision.value == pytest.approx(1 - math.exp(log_p[0, -1]), abs=1e-5)
    entropies = -np.where(expected > 0, expected * np.log(np.where(expected > 0, expected, 1)), 0).sum(1)
    assert decision.entropy == pytest.approx(entropies.mean(), abs=1e-4)


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_a_decision_has_the_declared_shapes_and_types(checkpoint, observe, settings):
    whole = checkpoint()
    decision = decided(whole, settings, observe())
    assert decision.action.shape == decision.action_bins.shape == (2, 2)
    assert decision.q_values.shape == decision.probabilities.shape == (2, 2, N_BINS)
    assert decision.action.dtype == decision.q_values.dtype == decision.probabilities.dtype == np.float32
    assert decision.action_bins.dtype == np.int64
    assert decision.action == pytest.approx(whole.action_tokenizer.decode(decision.action_bins))
    assert decision.probabilities.sum(-1) == pytest.approx(np.ones((2, 2)), abs=1e-5)
    assert decision.latency_s > 0


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_the_seed_fixes_the_decisions_of_an_episode(checkpoint, observe, settings):
    policy = QPolicy(checkpoint(), settings, "cpu")
    episodes = []
    for seed in (5, 5, 6):
        policy.reset(INSTRUCTION, seed=seed)
        episodes.append(np.stack([policy.act(observe(step)).action_bins for step in range(8)]))
    assert (episodes[0] == episodes[1]).all()
    assert (episodes[0] != episodes[2]).any()


def test_the_policy_says_what_its_bins_decode_to(checkpoint, observe):
    whole = checkpoint()
    policy = QPolicy(whole, ALL[0], "cpu")
    decision = decided(whole, ALL[0], observe())
    chosen = policy.bin_centers[np.arange(2), decision.action_bins]
    assert decision.action == pytest.approx(chosen)


def test_bins_are_drawn_as_often_as_their_probability_says(checkpoint, observe):
    policy = QPolicy(checkpoint(), PolicySettings("sft", temperature=1.0, support=0.0), "cpu")
    policy.reset(INSTRUCTION, seed=0)
    decisions = [policy.act(observe()) for _ in range(400)]
    probability = decisions[0].probabilities[0, 0]
    counts = np.bincount([decision.action_bins[0, 0] for decision in decisions], minlength=N_BINS)
    deviation = np.sqrt(400 * probability * (1 - probability))
    assert (np.abs(counts - 400 * probability) <= 4 * deviation + 1).all()


def test_temperature_zero_takes_the_most_likely_bin_whatever_the_seed(checkpoint, observe):
    settings = PolicySettings("ratio", temperature=0.0, inverse_temperature=4.0)
    first, second = (decided(checkpoint(), settings, observe(), seed=seed) for seed in (1, 2))
    assert (first.action_bins == second.action_bins).all()
    assert first.entropy == 0.0
    assert (first.probabilities.argmax(-1) == first.action_bins).all()


def test_inverse_temperature_zero_is_sft_exactly(checkpoint, observe):
    whole = checkpoint()
    tilted = replace(ALL[1], inverse_temperature=0.0)
    plain = PolicySettings("sft", temperature=tilted.temperature, support=tilted.support)
    one, other = decided(whole, tilted, observe()), decided(whole, plain, observe())
    assert (one.action_bins == other.action_bins).all()
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_without_a_likelihood_model_there_is_neither_value_nor_q_value(checkpoint, observe):
    decision = decided(checkpoint(q_model=False), ALL[0], observe())
    assert math.isnan(decision.value)
    assert np.isnan(decision.q_values).all()


def test_the_single_network_has_a_value_and_no_q_values_unless_they_are_asked_for(checkpoint, observe):
    whole, alone = checkpoint(), checkpoint(behavior=False)
    quick = decided(whole, ALL[3], observe())
    assert 0 <= quick.value <= 1
    assert np.isnan(quick.q_values).all()
    assert (decided(alone, ALL[3], observe()).action_bins == quick.action_bins).all()
    explained = decided(whole, ALL[3], observe(), explain=True)
    assert (explained.action_bins == quick.action_bins).all()
    assert np.isfinite(explained.q_values).all()


def test_with_the_uniform_remainder_the_value_is_the_overlap_of_the_two_networks(checkpoint, observe):
    whole, observation = checkpoint(remainder="uniform"), observe()
    decision = decided(whole, ALL[1], observation)
    p = np.exp(teacher_forced(whole.q_model, whole, observation, decision)[0, :-1])
    pi = np.exp(teacher_forced(whole.behavior, whole, observation, decision)[0, :-1])
    assert decision.value == pytest.approx(np.minimum(p, pi / pi.sum()).sum(), abs=1e-5)


@pytest.mark.parametrize("observation_seed", range(3))
def test_two_networks_fused_say_the_same_as_one_after_the_other(checkpoint, observe, observation_seed):
    whole = checkpoint()
    text, text_mask = whole.behavior.encode_instructions([INSTRUCTIONS[1]])
    inputs = inputs_from_observation(observe(observation_seed), whole.spec, text=text, text_mask=text_mask)
    fused, pair = FusedDecoding(whole.behavior, whole.q_model), PairDecoding(whole.behavior, whole.q_model)
    with torch.inference_mode():
        fused_state, pair_state = fused.start(inputs), pair.start(inputs)
        for previous in (None, 3, 0, 7):
            bins = None if previous is None else torch.tensor([previous])
            for one, other in zip(fused.step(fused_state, bins), pair.step(pair_state, bins), strict=True):
                assert one is not None
                assert other is not None
                torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


def test_the_two_networks_of_a_small_checkpoint_are_fused(checkpoint):
    assert isinstance(QPolicy(checkpoint(), ALL[1], "cpu").decider.decoding, FusedDecoding)


def test_networks_of_different_normalisation_are_not_fused(checkpoint):
    whole = checkpoint()
    whole.q_model.normalize_state.mean.add_(1.0)
    assert isinstance(QPolicy(whole, ALL[1], "cpu").decider.decoding, PairDecoding)


@pytest.mark.parametrize(
    ("networks", "extraction", "missing", "remedy"),
    [
        ({"q_model": False}, "ratio", "likelihood model", "'sft'"),
        ({"q_model": False}, "single", "likelihood model", "'sft'"),
        ({"behavior": False}, "ratio", "behavior policy", "'single'"),
        ({"behavior": False}, "sft", "behavior policy", "'single'"),
    ],
)
def test_an_extraction_that_needs_a_missing_network_is_refused_with_what_works(
    checkpoint, networks, extraction, missing, remedy
):
    with pytest.raises(InvalidSetting, match=f"needs a {missing}.*Use the extraction {remedy}"):
        QPolicy(checkpoint(**networks), PolicySettings(extraction), "cpu")


@pytest.mark.parametrize("setting", [{"repeats": False}, {"symmetries": True}])
def test_settings_of_games_are_not_a_robots(checkpoint, setting) -> None:
    with pytest.raises(InvalidSetting, match=f"{next(iter(setting))}=.* is a setting of text games"):
        QPolicy(checkpoint(), PolicySettings("ratio", **setting), "cpu")


def test_acting_before_reset_is_refused(checkpoint, observe):
    with pytest.raises(InvalidSetting, match="call reset"):
        QPolicy(checkpoint(), ALL[0], "cpu").act(observe())


def test_an_instruction_with_an_unknown_word_is_refused_and_the_old_one_stays(checkpoint, observe):
    policy = QPolicy(checkpoint(), ALL[0], "cpu")
    policy.reset(INSTRUCTION, seed=1)
    with pytest.raises(UnknownName, match="blue"):
        policy.reset("pick up the blue cube", seed=2)
    assert policy.act(observe()).action.shape == (2, 2)


def test_the_instruction_is_read(checkpoint, observe):
    policy = QPolicy(checkpoint(), ALL[1], "cpu")
    distributions = []
    for instruction in INSTRUCTIONS:
        policy.reset(instruction, seed=1)
        distributions.append(policy.act(observe()).probabilities[0, 0])
    assert np.abs(distributions[0] - distributions[1]).max() > 1e-4


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda seen: Observation({"front": seen.images["front"]}, seen.state), UnknownName, "'wrist'"),
        (lambda seen: replace(seen, state=seen.state[:2]), ShapeMismatch, "3 numbers"),
        (lambda seen: replace(seen, state=np.array([0, np.nan, 0], np.float32)), NotFinite, "NaN"),
        (
            lambda seen: replace(seen, images={**seen.images, "front": seen.images["front"].astype(np.float32)}),
            ShapeMismatch,
            "uint8",
        ),
    ],
)
def test_an_observation_that_does_not_fit_is_refused(checkpoint, observe, change, error, match):
    policy = QPolicy(checkpoint(), ALL[1], "cpu")
    policy.reset(INSTRUCTION, seed=1)
    with pytest.raises(error, match=match):
        policy.act(change(observe()))


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_weights_that_became_nan_give_an_error_and_never_an_action(checkpoint, observe, settings):
    broken = checkpoint()
    for scorer in (broken.behavior, broken.q_model):
        scorer.fusion.weight.data[0, 0] = math.nan
    with pytest.raises(NotFinite):
        decided(broken, settings, observe())


def test_an_instruction_may_change_between_decisions_without_touching_the_checkpoint(checkpoint, observe):
    whole = checkpoint()
    before = {name: weight.clone() for name, weight in whole.behavior.state_dict().items()}
    decided(whole, ALL[1], observe())
    assert all(torch.equal(weight, before[name]) for name, weight in whole.behavior.state_dict().items())
