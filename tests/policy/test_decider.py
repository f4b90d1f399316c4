"""Several robots decided in one pass, against each of them decided alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vlm_qsft.errors import NotFinite, ShapeMismatch, UnknownName
from vlm_qsft.policy import PolicySettings
from vlm_qsft.policy.decider import Decider, Question
from vlm_qsft.types import Decision, Observation

from .conftest import INSTRUCTIONS

SETTINGS = [
    PolicySettings("sft", temperature=0.5),
    PolicySettings("ratio", temperature=0.7, inverse_temperature=4.0),
    PolicySettings("single", temperature=0.5, support=0.1),
    PolicySettings("ratio", temperature=1.0, inverse_temperature=4.0, candidates=5),
    PolicySettings("single", temperature=1.0, support=0.1, candidates=2),
]


def alone(decider: Decider, number: int, observation: Observation, *, steps: int = 1) -> Decision:
    episode = decider.begin(INSTRUCTIONS[number % 2], seed=number)
    return [decider.decide(Question(episode, observation)) for _ in range(steps)][-1]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: f"{settings.extraction}-{settings.candidates}")
@pytest.mark.parametrize("explain", [False, True], ids=["plain", "explained"])
def test_robots_decided_together_get_what_each_gets_alone(checkpoint, observe, settings, explain):
    decider = Decider(checkpoint(), settings, "cpu", explain=explain)
    episodes = [decider.begin(INSTRUCTIONS[number % 2], seed=number) for number in range(5)]
    for step in range(1, 4):
        questions = [Question(episode, observe(number)) for number, episode in enumerate(episodes)]
        for number, answer in enumerate(decider.decide_together(questions)):
            assert isinstance(answer, Decision)
            expected = alone(decider, number, observe(number), steps=step)
            assert (answer.action_bins == expected.action_bins).all()
            assert (answer.action == expected.action).all()
            assert answer.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
            assert answer.q_values == pytest.approx(expected.q_values, abs=1e-5, nan_ok=True)
            assert answer.value == pytest.approx(expected.value, abs=1e-5, nan_ok=True)
            assert answer.entropy == pytest.approx(expected.entropy, abs=1e-4)


def test_a_robot_decided_with_nobody_gets_the_same_bits_as_alone(checkpoint, observe):
    decider = Decider(checkpoint(), SETTINGS[1], "cpu")
    (answer,) = decider.decide_together([Question(decider.begin(INSTRUCTIONS[0], seed=0), observe(0))])
    assert isinstance(answer, Decision)
    expected = alone(decider, 0, observe(0))
    for name in ("action", "action_bins", "q_values", "probabilities", "value", "entropy"):
        assert np.asarray(getattr(answer, name)).tobytes() == np.asarray(getattr(expected, name)).tobytes()


def test_what_one_robot_sends_wrongly_harms_no_other(checkpoint, observe):
    decider = Decider(checkpoint(), SETTINGS[1], "cpu")
    good = observe(0)
    wrong = [
        Observation({"front": good.images["front"]}, good.state),
        Observation(good.images, good.state[:2]),
        Observation(good.images, np.full(3, np.nan, np.float32)),
    ]
    questions = [Question(decider.begin(INSTRUCTIONS[0], seed=0), seen) for seen in (good, *wrong)]
    first, *others = decider.decide_together(questions)
    assert isinstance(first, Decision)
    assert (first.action_bins == alone(decider, 0, good).action_bins).all()
    assert [type(answer) for answer in others] == [UnknownName, ShapeMismatch, NotFinite]


def test_a_network_that_fails_one_robot_harms_no_other_and_none_of_its_draws(checkpoint, observe):
    """One row of NaN stops the whole pass; the others are then decided alone, as if it had not been."""
    whole = checkpoint()
    with torch.no_grad():
        unknown = whole.behavior.encode_instructions(["move"])[0][0, 0]
        whole.behavior.instruction.words.weight[unknown] = float("nan")
    decider = Decider(whole, SETTINGS[1], "cpu")
    episodes = [decider.begin(INSTRUCTIONS[seed % 2], seed=seed) for seed in (0, 1, 2)]
    first, second, third = decider.decide_together([Question(episode, observe(0)) for episode in episodes])
    assert isinstance(second, NotFinite)
    for answer, seed in ((first, 0), (third, 2)):
        assert isinstance(answer, Decision)
        expected = decider.decide(Question(decider.begin(INSTRUCTIONS[0], seed=seed), observe(0)))
        assert (answer.action_bins == expected.action_bins).all()
        assert answer.probabilities.tobytes() == expected.probabilities.tobytes()


def test_nobody_to_decide_for_is_no_work(checkpoint):
    assert Decider(checkpoint(), SETTINGS[0], "cpu").decide_together([]) == []


def test_warming_up_decides_and_changes_no_decision(checkpoint, observe, monkeypatch):
    decider = Decider(checkpoint(), SETTINGS[1], "cpu")
    before = alone(decider, 0, observe())
    decisions = []
    decide = decider.decide
    monkeypatch.setattr(decider, "decide", lambda question: decisions.append(decide(question)))
    decider.warm_up()
    monkeypatch.undo()
    assert [decision.action.shape for decision in decisions] == [before.action.shape] * 2
    assert (alone(decider, 0, observe()).action == before.action).all()


def test_a_checkpoint_without_instructions_is_left_cold(checkpoint, monkeypatch):
    loaded = checkpoint()
    loaded.metadata.pop("instructions")
    decider = Decider(loaded, SETTINGS[0], "cpu")
    monkeypatch.setattr(decider, "decide", lambda question: pytest.fail("decided"))
    decider.warm_up()
