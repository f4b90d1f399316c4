"""Of several candidates the policy takes the likeliest, by the formulas and by counting out all actions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from vlm_qsft.model import inputs_from_observation, renormalise_bins
from vlm_qsft.policy import PolicySettings, QPolicy
from vlm_qsft.policy.candidates import Candidates
from vlm_qsft.policy.decoding import FusedDecoding
from vlm_qsft.policy.next_token import TokenLogProbs, next_distribution

from .conftest import INSTRUCTION, N_BINS


def said(*rows: list[float]) -> TokenLogProbs:
    return TokenLogProbs(None, torch.tensor(rows).log())


def test_the_likeliest_candidate_of_each_decision_is_found_at_temperature_1() -> None:
    candidates = Candidates(PolicySettings("sft", temperature=0.1, support=0.0, candidates=2), batch=2)
    assert candidates.rows.tolist() == [0, 0, 1, 1]
    first = said([0.6, 0.4], [0.9, 0.1]).of(candidates.rows)
    candidates.add(first, torch.tensor([0, 1, 0, 1]))
    assert candidates.likeliest().tolist() == [0, 2]
    # 0.6 * 0.3 against 0.4 * 0.9: token by token the other way round
    candidates.add(said([0.3, 0.7], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]), torch.tensor([0, 0, 0, 0]))
    assert candidates.likeliest().tolist() == [1, 2]


def test_a_candidate_that_has_ended_stays_as_likely_as_it_was() -> None:
    candidates = Candidates(PolicySettings("sft", support=0.0, candidates=2), batch=1)
    candidates.add(said([0.4, 0.6], [0.4, 0.6]), torch.tensor([0, 1]))
    candidates.add(said([0.5, 0.5], [0.5, 0.5]), torch.tensor([0, 0]), torch.tensor([False, True]))
    assert candidates.likeliest().tolist() == [0]


@pytest.mark.parametrize(
    "settings",
    [
        PolicySettings("sft", temperature=1.0, support=0.0, candidates=600),
        PolicySettings("ratio", temperature=1.0, inverse_temperature=3.0, support=0.0, candidates=600),
        PolicySettings("single", temperature=0.7, support=0.0, candidates=600),
    ],
    ids=lambda settings: settings.extraction,
)
def test_with_many_candidates_a_robot_takes_the_likeliest_of_all_actions(checkpoint, observe, settings) -> None:
    whole = checkpoint()
    text, text_mask = whole.behavior.encode_instructions([INSTRUCTION])
    inputs = inputs_from_observation(observe(), whole.spec, text=text, text_mask=text_mask)
    actions = torch.tensor(list(itertools.product(range(N_BINS), repeat=4)))
    at_one = PolicySettings(settings.extraction, 1.0, settings.inverse_temperature, 0.0)
    with torch.inference_mode():
        repeated = inputs.select(torch.zeros(len(actions), dtype=torch.int64))
        log_p = whole.q_model.log_probs(repeated, actions)
        log_pi = renormalise_bins(whole.behavior.log_probs(repeated, actions))
        of_bins = next_distribution(TokenLogProbs(log_p, log_pi), at_one)
    log_likelihood = of_bins.gather(-1, actions[..., None])[..., 0].sum(1)
    assert log_likelihood.exp().sum() == pytest.approx(1.0, abs=1e-3)
    assert log_likelihood.max().exp() > 0.01, "600 draws could miss it"
    policy = QPolicy(whole, settings, "cpu")
    policy.reset(INSTRUCTION, seed=0)
    decision = policy.act(observe())
    assert decision.action_bins.flatten().tolist() == actions[log_likelihood.argmax()].tolist()


def test_candidates_are_never_drawn_by_the_fused_networks(checkpoint, observe) -> None:
    decoding = QPolicy(checkpoint(), PolicySettings("ratio", candidates=2), "cpu").decider.decoding
    assert not isinstance(decoding, FusedDecoding)
    whole = checkpoint()
    with pytest.raises(NotImplementedError, match="PairDecoding"):
        FusedDecoding(whole.behavior, whole.q_model).select(None, torch.zeros(1, dtype=torch.int64))


def test_more_candidates_are_likelier_on_average(checkpoint, observe) -> None:
    def mean_log_likelihood(candidates: int) -> float:
        policy = QPolicy(checkpoint(), PolicySettings("sft", 1.0, 0.0, 0.0, candidates), "cpu")
        policy.reset(INSTRUCTION, seed=1)
        decided = [policy.act(observe()) for _ in range(40)]
        chosen = [np.take_along_axis(d.probabilities, d.action_bins[..., None], -1) for d in decided]
        return float(np.mean([np.log(each).sum() for each in chosen]))

    assert mean_log_likelihood(1) < mean_log_likelihood(4) < mean_log_likelihood(32)
