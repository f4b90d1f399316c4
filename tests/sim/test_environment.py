from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from qsft_sim.environment import STATE_NAMES, EnvironmentSettings, TabletopEnvironment
from qsft_sim.scene import HELD_OUT_PAIRS
from vlm_qsft.data import DatasetSchema
from vlm_qsft.errors import InvalidSetting, NotFinite, ShapeMismatch, UnknownName

BLIND = EnvironmentSettings(cameras=())
NOTHING = np.array([0, 0, 0, 0, 1.0])


@pytest.fixture
def blind() -> TabletopEnvironment:
    return TabletopEnvironment(BLIND)


def test_the_environment_keeps_the_rules_of_gymnasium() -> None:
    environment = TabletopEnvironment(EnvironmentSettings(image_size=(16, 24)))
    check_env(environment, skip_render_check=True)
    environment.close()


def test_an_observation_has_the_declared_cameras_state_and_time() -> None:
    environment = TabletopEnvironment(EnvironmentSettings(cameras=("wrist", "front"), image_size=(16, 24)))
    environment.reset(seed=0)
    environment.step(NOTHING)
    observation = environment.observation()
    assert list(observation.images) == ["wrist", "front"]
    assert all(image.shape == (16, 24, 3) and image.dtype == np.uint8 for image in observation.images.values())
    assert observation.state.shape == (len(STATE_NAMES),) == (11,)
    assert observation.state.dtype == np.float32
    assert observation.stamp_s == pytest.approx(0.2)
    environment.close()


def test_equal_seeds_and_actions_give_equal_episodes_whatever_came_before() -> None:
    settings = EnvironmentSettings(image_size=(16, 16))
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 5))

    def run(environment: TabletopEnvironment) -> list[np.ndarray]:
        environment.reset(seed=5, options={"task": "near"})
        seen = []
        for action in actions:
            environment.step(action)
            observation = environment.observation()
            seen += [observation.state, *observation.images.values()]
        return seen

    fresh, used = TabletopEnvironment(settings), TabletopEnvironment(settings)
    expected = run(fresh)
    used.reset(seed=9, options={"task": "pick"})
    for action in -actions:
        used.step(action)
    for ours, theirs in zip(run(used), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    fresh.close()
    used.close()


def test_a_full_action_moves_the_commanded_tool_five_centimetres_and_the_arm_follows(
    blind: TabletopEnvironment,
) -> None:
    blind.reset(seed=0, options={"task": "pick"})
    before = blind.world.tool_position_m
    blind.step(np.array([0, 0, -1, 0, 1.0]))
    blind.step(NOTHING)
    np.testing.assert_allclose(blind.world.tool_position_m - before, [0, 0, -0.05], atol=0.003)


def test_values_outside_the_range_act_as_the_ends_of_the_range(blind: TabletopEnvironment) -> None:
    states = []
    for size in (1.0, 7.0):
        blind.reset(seed=0, options={"task": "pick"})
        observation, *_ = blind.step(np.array([-size, size, -size, size, size]))
        states.append(observation["state"])
    np.testing.assert_array_equal(states[0], states[1])


def test_the_tool_stays_above_the_table(blind: TabletopEnvironment) -> None:
    blind.reset(seed=0, options={"task": "pick"})
    for _ in range(12):
        observation, *_ = blind.step(np.array([0, 0, -1, 0, 1.0]))
    assert observation["state"][STATE_NAMES.index("target_z")] == pytest.approx(0.012)
    assert blind.world.tool_position_m[2] > 0.005


def test_the_gripper_closes_at_minus_one_and_opens_at_plus_one(blind: TabletopEnvironment) -> None:
    blind.reset(seed=0, options={"task": "pick"})
    openings = []
    for gripper in (-1.0, 1.0):
        for _ in range(4):
            observation, *_ = blind.step(np.array([0, 0, 0, 0, gripper]))
        openings.append(observation["state"][STATE_NAMES.index("finger_opening")])
    np.testing.assert_allclose(openings, [0.0, 0.04], atol=0.002)


def test_seven_dimensions_without_roll_and_pitch_act_as_five() -> None:
    five, seven = TabletopEnvironment(BLIND), TabletopEnvironment(replace(BLIND, action_dim=7))
    five.reset(seed=1, options={"task": "pick"})
    seven.reset(seed=1, options={"task": "pick"})
    for action in np.random.default_rng(0).uniform(-1, 1, (4, 5)):
        short, *_ = five.step(action)
        long, *_ = seven.step(np.concatenate([action[:3], [0, 0], action[3:]]))
        np.testing.assert_array_equal(short["state"], long["state"])


def test_an_episode_without_success_is_truncated_at_the_limit_and_never_terminated() -> None:
    environment = TabletopEnvironment(replace(BLIND, max_steps=3))
    environment.reset(seed=0, options={"task": "pick"})
    endings = [environment.step(NOTHING)[1:4] for _ in range(3)]
    assert endings == [(0.0, False, False), (0.0, False, False), (0.0, False, True)]


def test_facts_name_the_task_and_its_instruction(blind: TabletopEnvironment) -> None:
    _, facts = blind.reset(seed=0, options={"task": "near"})
    assert facts["task"] == "near"
    assert facts["task_description"] == blind.instruction
    assert facts["task_description"].startswith("move the ")
    assert facts["is_success"] is False and facts["wrong_object"] is False


def test_a_given_scene_is_placed_instead_of_a_drawn_one(blind: TabletopEnvironment) -> None:
    blind.reset(seed=3, options={"task": "pick"})
    scene = blind.scene.with_target(1)
    blind.reset(seed=4, options={"scene": scene})
    assert blind.scene is scene
    place = blind.world.table_state().object_position_m[1, :2]
    np.testing.assert_allclose(place, scene.objects[1].position_m, atol=1e-9)


def test_the_variant_of_the_settings_decides_the_scenes() -> None:
    environment = TabletopEnvironment(replace(BLIND, variant="held_out_pairs"))
    environment.reset(seed=0, options={"task": "pick"})
    target = environment.scene.objects[environment.scene.target]
    assert (target.colour, target.shape) in HELD_OUT_PAIRS


def test_a_wrong_action_size_says_what_is_expected(blind: TabletopEnvironment) -> None:
    blind.reset(seed=0)
    with pytest.raises(ShapeMismatch, match=r"shape \(7,\): expected \(5,\), which is dx, dy, dz, dyaw, gripper"):
        blind.step(np.zeros(7))


def test_an_action_with_nan_is_refused(blind: TabletopEnvironment) -> None:
    blind.reset(seed=0)
    with pytest.raises(NotFinite, match="nan"):
        blind.step(np.array([0, np.nan, 0, 0, 1]))


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"cameras": ("top",)}, UnknownName, "front, over, wrist"),
        ({"cameras": ("front", "front")}, InvalidSetting, "each camera once"),
        ({"action_dim": 6}, InvalidSetting, "5 or 7"),
        ({"variant": "night"}, UnknownName, "camera_shift"),
        ({"back_end": "vulkan"}, UnknownName, "osmesa"),
        ({"max_steps": 0}, InvalidSetting, "max_steps"),
    ],
)
def test_impossible_settings_are_refused_when_they_are_built(wrong: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        EnvironmentSettings(**wrong)


def test_an_unknown_option_of_reset_is_refused(blind: TabletopEnvironment) -> None:
    with pytest.raises(UnknownName, match="n_distractors, scene, task"):
        blind.reset(seed=0, options={"tasks": "pick"})


ROBOT = DatasetSchema(
    {"front": (32, 48), "wrist": (32, 48)}, STATE_NAMES, EnvironmentSettings().action_names, Fraction(5)
)


def test_the_environment_of_a_policy_draws_what_was_recorded() -> None:
    settings = EnvironmentSettings.of_robot(ROBOT, cameras=("wrist",))
    assert (settings.cameras, settings.image_size, settings.action_dim) == (("wrist",), (32, 48), 5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"action_names": ("j1", "j2", "j3", "j4", "gripper")},
            "actions j1, j2, j3, j4, gripper; the simulator has dx",
        ),
        ({"action_names": ("dx", "dy")}, "actions dx, dy; the simulator has dx, dy, dz, dyaw, gripper"),
        ({"state_names": STATE_NAMES[::-1]}, "state finger_opening"),
        ({"state_names": ()}, "state none"),
        ({"fps": Fraction(30)}, "control rate 30 per second; the simulator has 5 per second"),
        ({"cameras": {"front": (32, 48), "wrist": (64, 64)}}, "draws one size"),
    ],
)
def test_a_policy_of_another_robot_never_drives_this_one(change: dict, text: str) -> None:
    with pytest.raises(InvalidSetting, match=text):
        EnvironmentSettings.of_robot(replace(ROBOT, **change), cameras=("front", "wrist"))


def test_a_camera_that_the_simulator_lacks_is_named() -> None:
    with pytest.raises(UnknownName, match="Camera 'left' is not known in the simulator"):
        EnvironmentSettings.of_robot(replace(ROBOT, cameras={"left": (32, 32)}), cameras=("left",))
