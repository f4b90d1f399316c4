"""`qsft ros doctor` as a user calls it, on the simulated robot over DDS."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from running_node import PATIENCE_S, RunningNode
from simulator_rig import CONFIG

ATTEMPTS = 3
"""The robot of these tests always sends its joints. Where none arrive, DDS has joined two processes in one direction
only, for as long as the doctor's lives: once in some twenty times, on two cores."""

pytestmark = [pytest.mark.usefixtures("ros"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory, ros: None) -> Iterator[RunningNode]:
    node = rclpy.create_node("caller")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    words = ["--params-file", str(CONFIG / "simulator.sim_robot.yaml"), "-p", "time_limit_s:=100000.0"]
    log = tmp_path_factory.mktemp("robot") / "log.txt"
    process = RunningNode(node, threading.Condition(), log, *words, module="sim_robot_node", name="sim_robot")
    try:
        process.parameter("task")  # answers once it runs
        yield process
    finally:
        process.close()
        executor.shutdown(timeout_sec=5)
        thread.join(timeout=5)
        node.destroy_node()


def doctor(*words: str, parameters: Path = CONFIG / "simulator.yaml") -> subprocess.CompletedProcess[str]:
    # Longer than the default: on a machine that tests keep busy, DDS may take seconds to join two processes.
    listening = ["--parameters", str(parameters), "--seconds", "15"]
    program = [sys.executable, "-m", "vlm_qsft.cli.main", "ros", "doctor", *listening]
    for _ in range(ATTEMPTS):
        told = subprocess.run([*program, *words], capture_output=True, text=True, timeout=PATIENCE_S)
        if not any("/joint_states" in line and "nothing arrived" in line for line in told.stdout.splitlines()):
            break
    return told


def test_a_robot_that_fits_is_told_so(robot: RunningNode) -> None:
    told = doctor("--sim-time")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "The controller can be configured and activated." in told.stdout
    for topic in ("/joint_states", "/camera/front/image_raw", "/camera/wrist/image_raw", "/joint_trajectory"):
        assert any(line.startswith("ok") and topic in line for line in told.stdout.splitlines()), told.stdout
    assert "fault" not in told.stdout


def test_a_clock_that_the_controller_would_not_follow_is_a_fault(robot: RunningNode) -> None:
    told = doctor()
    assert told.returncode == 2
    assert any(line.startswith("fault") and "use_sim_time" in line for line in told.stdout.splitlines()), told.stdout
    assert told.stderr.count("\n") == 1 and "forbid to activate" in told.stderr


def test_a_camera_that_sends_nothing_and_joints_of_another_name_are_faults(robot: RunningNode, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    text = (CONFIG / "simulator.yaml").read_text()
    other.write_text(text.replace("joint_7", "wrist_3_joint"))
    assert robot.set_parameter("fault.wrist", "dropped")
    try:
        told = doctor("--sim-time", parameters=other)
    finally:
        assert robot.set_parameter("fault.wrist", "none")
    faults = [line for line in told.stdout.splitlines() if line.startswith("fault")]
    assert told.returncode == 2
    assert any("/camera/wrist/image_raw" in line for line in faults), told.stdout
    assert any("wrist_3_joint" in line for line in faults), told.stdout
    assert not any("/camera/front/image_raw" in line for line in faults), told.stdout


def test_joints_that_are_not_numbers_are_a_fault(robot: RunningNode) -> None:
    assert robot.set_parameter("fault.joint_states", "not_finite")
    try:
        told = doctor("--sim-time")
    finally:
        assert robot.set_parameter("fault.joint_states", "none")
    assert told.returncode == 2
    assert any(line.startswith("fault") and "joint_1" in line for line in told.stdout.splitlines()), told.stdout


COUNTED = """
import sys
from qsft_controller import doctor
from vlm_qsft.cli.main import main

listen, robot_settings, calls = doctor.Doctor.listen, doctor.robot_settings, []
doctor.Doctor.listen = lambda *given: calls.append("listen") or listen(*given)
doctor.robot_settings = lambda *given: calls.append("settings") or robot_settings(*given)
status = main(sys.argv[1:])
print("calls:", *calls)
sys.exit(status)
"""


def test_a_robot_that_is_silent_altogether_is_listened_to_again_and_told_topic_by_topic(robot: RunningNode) -> None:
    program = [sys.executable, "-c", COUNTED, "ros", "doctor", "--parameters", str(CONFIG / "simulator.yaml")]
    program += ["--seconds", "2", "--sim-time"]
    sensors = ("joint_states", "front", "wrist")
    try:
        for name in sensors:
            assert robot.set_parameter(f"fault.{name}", "dropped")
        told = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE_S)
    finally:
        for name in sensors:
            assert robot.set_parameter(f"fault.{name}", "none")
    assert told.returncode == 2
    silent = [line for line in told.stdout.splitlines() if "nothing arrived" in line]
    assert [line.split()[1] for line in silent] == [
        "/joint_states",
        "/camera/front/image_raw",
        "/camera/wrist/image_raw",
    ]
    assert "calls: settings listen listen" in told.stdout
    heard = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE_S)
    assert "calls: settings listen\n" in heard.stdout
