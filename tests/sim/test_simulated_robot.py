"""The robot that runs on its own, against the environment that is stepped."""

from __future__ import annotations

import numpy as np
import pytest

from qsft_sim.environment import EnvironmentSettings, TabletopEnvironment
from qsft_sim.joint_trajectory import JointTrajectory, TrajectoryPoint
from qsft_sim.recording import RecordingJob, record_episode
from qsft_sim.seeds import EVALUATION, RECORDING, scene_seed
from qsft_sim.simulated_robot import (
    ARM_JOINTS,
    FINGER_JOINT,
    JOINT_NAMES,
    SET_UP_S,
    Outcome,
    Sensed,
    SimulatedRobot,
)
from qsft_sim.simulated_robot_settings import SceneChoice, SimulatedRobotSettings
from vlm_qsft.errors import CommandRefused, InvalidSetting, UnknownName

BLIND = EnvironmentSettings(cameras=())
SMALL = EnvironmentSettings(cameras=("front", "wrist"), image_size=(24, 32))
TICK_S = 0.02


def ready(robot: SimulatedRobot, choice: SceneChoice | None = None) -> Sensed:
    """Set a scene and return the first thing that is sensed of it."""
    robot.reset(choice or SceneChoice())
    while (sensed := robot.advance()) is None:
        pass
    return sensed


def straight(joints: np.ndarray, duration_s: float, names: tuple[str, ...] = ARM_JOINTS) -> JointTrajectory:
    return JointTrajectory(names, (TrajectoryPoint(duration_s, np.asarray(joints, dtype=np.float64)),))


def test_trajectories_move_the_world_as_the_steps_of_the_environment_do() -> None:
    environment = TabletopEnvironment(BLIND)
    environment.reset(seed=scene_seed(EVALUATION, "pick", 3), options={"task": "pick"})
    robot = SimulatedRobot(SimulatedRobotSettings(BLIND))
    sensed = ready(robot, SceneChoice("pick", EVALUATION, 3))
    for action in ([0.8, -0.5, -1.0, 0.3, 1.0], [0.0, 0.4, -1.0, 0.0, -1.0], [0.2, 0.0, 0.7, -0.9, -1.0]):
        environment.step(np.array(action))
        # The environment lets the set points arrive after 80 % of its control step.
        robot.command(straight(environment.world.joint_targets_rad, 0.16))
        robot.command(straight(np.array([0.04 if action[-1] > 0 else 0.0]), TICK_S / 4, (FINGER_JOINT,)))
        for _ in range(10):
            sensed = robot.advance()
        assert sensed is not None
        np.testing.assert_allclose(robot.environment.world.state.qpos, environment.world.state.qpos, atol=1e-9)
        np.testing.assert_allclose(sensed.positions[:7], environment.observation().state[3:10], atol=1e-6)
        # Half a millimetre is the tolerance of the inverse kinematics.
        np.testing.assert_allclose(sensed.tool_target_m, environment.world.tool_target_m, atol=6e-4)
        assert robot.environment.world.gripper_open == environment.world.gripper_open
        np.testing.assert_allclose(robot.environment.world.tool_turn_rad, environment.world.tool_turn_rad, atol=6e-3)


def test_a_demonstrator_that_drives_the_robot_does_what_a_recording_of_it_holds() -> None:
    episode = record_episode(SMALL, RecordingJob("pick", 1, "noisy", seed=5))
    robot = SimulatedRobot(SimulatedRobotSettings(SMALL, camera_hz=5.0, demonstrator="noisy"))
    sensed: Sensed | None = ready(robot, SceneChoice("pick", RECORDING, 1, seed=5))
    actions, states, pictures, began_s = [], [], [], robot.now_s
    while robot.outcome is Outcome.RUNNING:
        assert sensed is not None
        demonstration = robot.take_demonstration()
        if demonstration is not None:
            assert demonstration.stamp_s == sensed.stamp_s
            actions.append(demonstration.action)
            states.append(np.concatenate([sensed.tool_target_m, sensed.positions]))
            pictures.append(sensed.pictures)
        sensed = robot.advance()
    np.testing.assert_array_equal(np.stack(actions), episode.action)
    np.testing.assert_array_equal(np.stack(states).astype(np.float32), episode.state)
    for camera in SMALL.cameras:
        np.testing.assert_array_equal(np.stack([each[camera] for each in pictures]), episode.images[camera])
    assert (robot.outcome is Outcome.SUCCESS) == episode.success
    assert robot.wrong_object == episode.attributes["wrong_object"]
    assert robot.instruction == episode.instruction
    assert robot.now_s - began_s == pytest.approx(episode.length * 0.2)


def test_the_clock_goes_on_over_a_reset_and_nothing_is_read_while_the_scene_is_set_up() -> None:
    robot = SimulatedRobot(SimulatedRobotSettings(BLIND))
    assert robot.advance() is None
    first = ready(robot)
    assert first.stamp_s == pytest.approx(TICK_S + SET_UP_S)
    second = ready(robot, SceneChoice(episode=1))
    assert second.stamp_s == pytest.approx(first.stamp_s + SET_UP_S)


def test_pictures_come_at_their_own_rate() -> None:
    robot = SimulatedRobot(
        SimulatedRobotSettings(EnvironmentSettings(cameras=("over",), image_size=(16, 16)), camera_hz=12.5)
    )
    sensed = [ready(robot), *(robot.advance() for _ in range(100))]
    with_picture = [index for index, each in enumerate(sensed) if each is not None and each.pictures]
    # 12.5 per second is every fourth tick of 20 ms.
    assert with_picture == list(range(0, 101, 4))
    first = sensed[0]
    assert first is not None and first.pictures["over"].shape == (16, 16, 3)


def test_an_arm_without_commands_stays_where_it_is_and_fails_after_the_time_limit() -> None:
    robot = SimulatedRobot(SimulatedRobotSettings(BLIND, time_limit_s=0.6))
    first = ready(robot)
    outcomes = []
    for _ in range(35):
        sensed = robot.advance()
        outcomes.append(robot.outcome)
    assert outcomes.index(Outcome.FAILURE) == 29
    assert sensed is not None
    np.testing.assert_allclose(sensed.positions, first.positions, atol=2e-3)


def test_when_a_trajectory_is_over_the_arm_stays_at_its_end() -> None:
    robot = SimulatedRobot(SimulatedRobotSettings(BLIND))
    goal = ready(robot).positions[:7] + 0.1
    robot.command(straight(goal, 0.2))
    for _ in range(100):
        sensed = robot.advance()
    assert sensed is not None
    np.testing.assert_array_equal(robot.environment.world.joint_targets_rad, goal)
    # The servo of joint 6 sags by half a degree under the hand.
    np.testing.assert_allclose(sensed.positions[:7], goal, atol=0.012)


def test_a_trajectory_of_all_joints_is_taken_whole_or_not_at_all() -> None:
    robot = SimulatedRobot(SimulatedRobotSettings(BLIND))
    begin = ready(robot).positions
    with pytest.raises(CommandRefused, match="1 finite numbers"):
        robot.command(straight(np.append(begin[:7] + 0.3, np.nan), 0.2, JOINT_NAMES))
    np.testing.assert_allclose(robot.environment.world.joint_targets_rad, begin[:7], atol=1e-9)
    robot.command(straight(np.append(begin[:7] + 0.05, 0.0), 0.2, JOINT_NAMES))
    for _ in range(60):
        sensed = robot.advance()
    assert sensed is not None
    np.testing.assert_allclose(sensed.positions[:7], begin[:7] + 0.05, atol=0.012)
    assert sensed.positions[7] < 0.005


def test_commands_are_refused_without_a_scene_while_setting_up_and_of_a_demonstrator() -> None:
    robot = SimulatedRobot(SimulatedRobotSettings(BLIND))
    stay = straight(np.zeros(7), 0.2)
    with pytest.raises(CommandRefused, match="no scene yet"):
        robot.command(stay)
    robot.reset(SceneChoice())
    with pytest.raises(CommandRefused, match="being set up"):
        robot.command(stay)
    driven = SimulatedRobot(SimulatedRobotSettings(BLIND, demonstrator="expert"))
    ready(driven)
    with pytest.raises(CommandRefused, match="'expert' drives"):
        driven.command(stay)


def test_other_joints_are_refused_with_the_names_of_this_arm() -> None:
    robot = SimulatedRobot(SimulatedRobotSettings(BLIND))
    ready(robot)
    with pytest.raises(CommandRefused, match=r"elbow; expected joint_1, .* or finger_joint"):
        robot.command(straight(np.zeros(1), 0.2, ("elbow",)))


def test_settings_outside_their_range_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="camera_hz is 60"):
        SimulatedRobotSettings(camera_hz=60)
    with pytest.raises(InvalidSetting, match="time_limit_s"):
        SimulatedRobotSettings(time_limit_s=0)
    with pytest.raises(UnknownName, match="Task 'pik' is not known"):
        SceneChoice("pik")
    with pytest.raises(UnknownName, match="quality"):
        SimulatedRobot(SimulatedRobotSettings(BLIND, demonstrator="brilliant"))
