"""Every fault that the simulated robot offers, over DDS: the controller holds, says why, and goes on only when told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")

from simulator_rig import SimulatorRig, simulator_rig, speed

pytestmark = [pytest.mark.usefixtures("ros"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory, ros: None) -> Iterator[SimulatorRig]:
    with simulator_rig(tmp_path_factory.mktemp("simulator")) as made:
        made.drive()
        yield made


@pytest.fixture
def moving(driven: SimulatorRig) -> SimulatorRig:
    assert driven.controller.set_parameter("instruction", "sway")
    driven.wait_for_motion()
    return driven


@pytest.mark.parametrize(
    ("sensor", "fault", "kind", "name"),
    [
        ("front", "late", "stale_input", "'front'"),
        ("front", "frozen", "frozen_picture", "'front'"),
        ("wrist", "dropped", "stale_input", "'wrist'"),
        ("wrist", "black", "blank_picture", "'wrist'"),
        ("front", "clock_back", "clock_backwards", "'front'"),
        ("joint_states", "not_finite", "not_finite", "measurement"),
        ("joint_states", "dropped", "stale_input", "measurement"),
        ("joint_states", "late", "stale_input", "measurement"),
        ("joint_states", "clock_back", "clock_backwards", "measurement"),
    ],
)
def test_a_fault_of_a_simulated_sensor_holds_with_its_reason_until_resume(
    moving: SimulatorRig, sensor: str, fault: str, kind: str, name: str
) -> None:
    controller, robot = moving.controller, moving.robot
    assert robot.set_parameter(f"fault.{sensor}", fault)
    said = controller.wait_for(state="holding", fault=kind)
    assert name in said["reason"]
    moving.wait_for_rest()
    assert robot.set_parameter(f"fault.{sensor}", "none")
    count = len(moving.commands)
    controller.wait(lambda: len(moving.commands) > count + 20, "commands after the fault is over")
    assert controller.last["state"] == "holding"
    assert {speed(command) for command in moving.commands[count:]} == {0.0}
    controller.wait(lambda: controller.trigger("resume").success, "resume")
    controller.wait_for(state="active", fault="")


def test_the_arm_brakes_from_the_second_command_after_a_nan_on(moving: SimulatorRig) -> None:
    controller = moving.controller
    assert moving.robot.set_parameter("fault.joint_states", "not_finite")
    controller.wait(lambda: any(position != position for position in moving.positions), "NaN on /joint_states")
    # Commands that were on their way when the NaN was, and the two control periods of the promise.
    count = len(moving.commands)
    controller.wait(lambda: len(moving.commands) > count + 30, "commands after the NaN")
    speeds = [speed(command) for command in moving.commands[count + 3 :]]
    assert all(later <= earlier for earlier, later in pairwise(speeds)), speeds
    assert speeds[-1] == 0.0
    assert moving.robot.set_parameter("fault.joint_states", "none")
    controller.wait(lambda: controller.trigger("resume").success, "resume")


def test_a_fault_that_a_sensor_cannot_have_is_refused(driven: SimulatorRig) -> None:
    assert not driven.robot.set_parameter("fault.joint_states", "black")
    assert not driven.robot.set_parameter("fault.front", "not_finite")
