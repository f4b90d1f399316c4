"""Log -> data set two ways: demonstrations recorded directly, and the same ones through DDS, bag and converter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")

import rclpy
from bringup_process import BringUp
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from qsft_sim.environment import EnvironmentSettings
from qsft_sim.recording import RecordingJob, record_episode
from vlm_qsft.cli.main import main as qsft
from vlm_qsft.data import DatasetReader

pytestmark = [pytest.mark.usefixtures("ros"), pytest.mark.timeout(900)]
N_EPISODES = 2
PATIENCE_S = 400
MAPPING = Path(__file__).resolve().parents[2] / "ros2_ws/src/qsft_bringup/config/simulator_demonstrations.mapping.yaml"


def record_bag(folder: Path, log: Path) -> list[str]:
    """Record the first demonstrations of `noisy` and return the markers that were sent."""
    node = rclpy.create_node("bag_round_trip")
    markers: list[str] = []
    node.create_subscription(String, "/episode", lambda message: markers.append(message.data), 50)
    reset = node.create_client(Trigger, "/sim_robot/reset")
    arguments = {"bag": str(folder), "demonstrator": "noisy", "episodes": str(N_EPISODES), "real_time_factor": "2.0"}
    try:
        with BringUp(log, "simulator_demonstrations", **arguments) as robot:
            try:
                wait(node, lambda: robot.log.count("Recording /") == 5, "the recorder hearing every topic")
                assert reset.wait_for_service(timeout_sec=PATIENCE_S)
                future = reset.call_async(Trigger.Request())
                wait(node, lambda: count_ends(markers) == N_EPISODES, "the end of the episodes")
                wait(node, lambda: robot.log.count("Recorded the marker") == len(markers), "the recorder")
                answer = future.result()
                assert answer is not None and answer.success
            except BaseException as error:
                error.add_note(robot.log)
                raise
    finally:
        node.destroy_node()
    return markers


def count_ends(markers: list[str]) -> int:
    return sum(marker in ("success", "failure") for marker in markers)


def wait(node: Node, condition, what: str) -> None:
    end = node.get_clock().now().nanoseconds + PATIENCE_S * 10**9
    while not condition():
        assert node.get_clock().now().nanoseconds < end, f"{what} did not come"
        rclpy.spin_once(node, timeout_sec=0.2)


def test_a_bag_of_demonstrations_becomes_the_data_set_that_is_recorded_directly(tmp_path: Path, ros: None) -> None:
    markers = record_bag(tmp_path / "bag", tmp_path / "log.txt")
    assert qsft(["convert", str(tmp_path / "bag"), str(tmp_path / "data"), "--mapping", str(MAPPING)]) == 0
    settings = EnvironmentSettings()
    direct = [record_episode(settings, RecordingJob("pick", number, "noisy", seed=0)) for number in range(N_EPISODES)]
    converted = DatasetReader(tmp_path / "data")
    assert converted.n_episodes == N_EPISODES
    actions, states, rewards = (converted.column(key) for key in ("action", "observation.state", "next.reward"))
    for number, episode in enumerate(direct):
        rows = converted.frames_of([number])
        assert markers[2 * number] == f"start: {episode.instruction}"
        assert len(rows) == episode.length
        assert converted.instruction(int(rows[0])) == episode.instruction
        np.testing.assert_array_equal(actions[rows], episode.action)
        np.testing.assert_allclose(states[rows], episode.state, atol=1e-6)
        np.testing.assert_array_equal(rewards[rows].reshape(-1), episode.reward)
        for camera in settings.cameras:
            pictures = np.stack([each[camera] for each in converted.images_at(rows.tolist(), [camera])])
            np.testing.assert_array_equal(pictures, episode.images[camera])
    trained = ["train", "behavior", "--preset", "smoke", "--data", str(tmp_path / "data")]
    assert qsft([*trained, "--out", str(tmp_path / "behavior"), "--steps", "3"]) == 0
    assert (tmp_path / "behavior" / "policy").is_dir()
