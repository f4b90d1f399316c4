"""Every fault that the simulated robot offers, over DDS: the controller holds, says why, and goes on only when told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")

from simulator_rig import MAX_AGE_S, SimulatorRig, simulator_rig, speed

pytestmark = [pytest.mark.usefixtures("ros"), pytest.mark.timeout(900)]

PERIOD_S, READING_S = 0.04, 0.04
"""Of control, and from one reading of a sensor to the next; both in simulator.yaml."""
TOLERATED_S = {"stale_input": MAX_AGE_S, "frozen_picture": 1.0}
"""For how long a fault must last until it is one."""


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
def test_a_fault_of_a_simulated_sensor_holds_within_two_periods_with_its_reason_until_resume(
    moving: SimulatorRig, sensor: str, fault: str, kind: str, name: str
) -> None:
    controller, robot = moving.controller, moving.robot
    begin = len(controller.diagnostics)
    failed_s = moving.fail(sensor, fault)
    said = controller.wait_for(state="holding", fault=kind)
    assert name in said["reason"]
    assert moving.held_s(begin) - failed_s <= TOLERATED_S.get(kind, 0.0) + READING_S + 2 * PERIOD_S + 1e-6
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
