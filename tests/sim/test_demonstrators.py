from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsft_sim.demonstrators import Demonstrator
from qsft_sim.environment import EnvironmentSettings, TabletopEnvironment
from qsft_sim.qualities import QUALITIES, Quality
from qsft_sim.results import EpisodeResult
from qsft_sim.rollout import roll_out
from qsft_sim.seeds import RECORDING
from vlm_qsft.errors import InvalidSetting, UnknownName

BLIND = EnvironmentSettings(cameras=())


def run(quality: Quality | str, task: str, episodes: int, *, action_dim: int = 5) -> list[EpisodeResult]:
    environment = TabletopEnvironment(replace(BLIND, action_dim=action_dim))
    demonstrator = Demonstrator(quality)
    return [
        roll_out(environment, demonstrator, task=task, base=RECORDING, episode=episode, settings={}, simulator={})
        for episode in range(episodes)
    ]


@pytest.mark.parametrize("task", ["pick", "near"])
def test_the_expert_follows_every_instruction_and_touches_nothing_else(task: str) -> None:
    results = run("expert", task, 15)
    assert all(result.success for result in results)
    assert not any(result.wrong_object for result in results)


def test_the_expert_picks_with_seven_dimensions_too() -> None:
    assert all(result.success for result in run("expert", "pick", 5, action_dim=7))


def test_qualities_are_ordered_as_their_names_say() -> None:
    rates = {name: np.mean([result.success for result in run(name, "pick", 12)]) for name in ("noisy", "poor")}
    assert 0.4 <= rates["noisy"] < 1.0
    assert rates["poor"] <= 0.3


def test_the_slow_demonstrator_succeeds_but_needs_half_again_as_many_steps() -> None:
    slow, expert = run("slow", "pick", 5), run("expert", "pick", 5)
    assert all(result.success for result in slow)
    assert np.mean([result.steps for result in slow]) > 1.5 * np.mean([result.steps for result in expert])


def test_the_distracted_demonstrator_goes_for_a_wrong_object_as_often_as_its_quality_says() -> None:
    environment = TabletopEnvironment(replace(BLIND, n_distractors=(2, 2)))
    environment.reset(seed=0, options={"task": "pick"})
    demonstrator = Demonstrator("distracted")
    demonstrator.watch(environment)
    intended = []
    for seed in range(1000):
        demonstrator.reset(environment.instruction, seed=seed)
        intended.append(demonstrator.intended_object)
    # Three standard deviations of a share of 0.75 in 1000 draws are 0.041.
    wrong = np.mean([number != environment.scene.target for number in intended])
    assert wrong == pytest.approx(QUALITIES["distracted"].wrong_object, abs=0.041)
    assert set(intended) == {0, 1, 2}


def test_a_detour_goes_down_on_another_object_first_and_costs_a_third_more_steps() -> None:
    straight, detour = run("expert", "pick", 8), run(Quality("visitor", detour=1.0), "pick", 8)
    assert all(result.success and not result.wrong_object for result in detour)
    assert np.mean([result.steps for result in detour]) > 4 / 3 * np.mean([result.steps for result in straight])


def test_equal_seeds_give_equal_demonstrations() -> None:
    first, second = (
        [(result.steps, result.success, result.handled) for result in run("poor", "pick", 3)] for _ in range(2)
    )
    assert first == second


def test_a_faultless_quality_never_draws_noise_into_its_actions() -> None:
    environment = TabletopEnvironment(BLIND)
    actions = []
    for seed in (1, 2):
        environment.reset(seed=0, options={"task": "pick"})
        demonstrator = Demonstrator(Quality("expert"))
        demonstrator.watch(environment)
        demonstrator.reset(environment.instruction, seed=seed)
        actions.append(demonstrator.act(environment.observation()).action)
    np.testing.assert_array_equal(actions[0], actions[1])


def test_a_burst_lasts_as_many_steps_as_its_quality_says() -> None:
    environment = TabletopEnvironment(BLIND)
    environment.reset(seed=0, options={"task": "pick"})
    demonstrator = Demonstrator(Quality("jumpy", burst=1.0, burst_steps=3))
    demonstrator.watch(environment)
    demonstrator.reset(environment.instruction, seed=0)
    # The expert would keep the gripper open on its way to the object; random actions close it now and then.
    grippers = [demonstrator.act(environment.observation()).action[0, -1] for _ in range(40)]
    assert min(grippers) < 0 and len(set(grippers)) == 40


def test_decisions_of_a_demonstrator_carry_no_bins() -> None:
    environment = TabletopEnvironment(BLIND)
    environment.reset(seed=0, options={"task": "pick"})
    demonstrator = Demonstrator()
    demonstrator.watch(environment)
    demonstrator.reset(environment.instruction, seed=0)
    decision = demonstrator.act(environment.observation())
    assert decision.action.shape == (1, 5) and decision.action.dtype == np.float32
    assert (decision.action_bins == -1).all()
    assert decision.q_values.shape == decision.probabilities.shape == (1, 5, 0)
    assert np.isnan(decision.value)


def test_a_demonstrator_that_cannot_hit_the_spot_closes_its_hand_all_the_same() -> None:
    # 0.4 of 5 cm per step and axis: within 8 mm of a point once in some twenty steps, within 3 cm in every other.
    results = run(Quality("shaky", action_noise=0.4), "pick", 12)
    assert np.mean([result.success for result in results]) > 0.5


def test_a_demonstrator_whose_hand_is_empty_tries_again() -> None:
    # 4 cm beside the object in each direction, on average: one attempt of about twelve steps rarely succeeds.
    results = run(Quality("aims_badly", grasp_offset_m=0.04), "pick", 20)
    late = [result for result in results if result.success and result.steps > 20]
    assert late and np.mean([result.success for result in results]) > 0.3


@pytest.mark.parametrize(("task", "most_steps"), [("pick", 20), ("near", 36)])
def test_a_demonstrator_stops_soon_after_the_task_that_it_believes_to_be_the_right_one(
    task: str, most_steps: int
) -> None:
    environment = TabletopEnvironment(BLIND)
    demonstrator = Demonstrator(Quality("always_wrong", wrong_object=1.0))
    for seed in range(5):
        environment.reset(seed=seed, options={"task": task})
        demonstrator.watch(environment)
        demonstrator.reset(environment.instruction, seed=seed)
        steps, facts = 0, {}
        while not demonstrator.has_finished and steps < 40:
            *_, facts = environment.step(demonstrator.act(environment.observation()).action[0])
            steps += 1
        assert steps <= most_steps and facts["wrong_object"] and not facts["is_success"]


@pytest.mark.parametrize("wrong", [{"burst": 1.5}, {"pause": -0.1}, {"speed": 0.0}, {"burst_steps": 0}])
def test_impossible_faults_are_refused(wrong: dict) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        Quality("wrong", **wrong)


def test_an_unknown_quality_lists_the_qualities() -> None:
    with pytest.raises(UnknownName, match="distracted, expert, noisy, poor, sloppy, slow, wandering"):
        Demonstrator("good")
