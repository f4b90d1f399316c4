"""Faults of a robot through real nodes: hold with the reason, rest, and recovery by the documented call only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from rigs import Rig, rig_in
from slide_arm import Faults

pytestmark = pytest.mark.usefixtures("ros")
FOLDER = Path(__file__).resolve().parent

PERIOD_S, VELOCITY, ACCELERATION = 0.05, 0.6, 4.0
STOPPING_M = VELOCITY**2 / (2 * ACCELERATION)


@pytest.fixture
def rig(tmp_path: Path, ros: None) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made


def joints_nan(faults: Faults) -> None:
    faults.joints_nan = True


def joints_silent(faults: Faults) -> None:
    faults.joints_silent = True


def camera_silent(faults: Faults) -> None:
    faults.silent = {"wrist"}


def camera_frozen(faults: Faults) -> None:
    faults.frozen = {"front"}


def compressed_camera_frozen(faults: Faults) -> None:
    faults.frozen = {"wrist"}


def camera_black(faults: Faults) -> None:
    faults.black = {"front"}


def compressed_camera_black(faults: Faults) -> None:
    faults.black = {"wrist"}


def clock_back(faults: Faults) -> None:
    faults.stamps_back_s = 30.0


def encoding_unknown(faults: Faults) -> None:
    faults.wrong_encoding = True


@pytest.mark.parametrize(
    ("cause", "kind", "names"),
    [
        (joints_nan, "not_finite", "measurement"),
        (joints_silent, "stale_input", "measurement"),
        (camera_silent, "stale_input", "wrist"),
        (camera_frozen, "frozen_picture", "front"),
        (compressed_camera_frozen, "frozen_picture", "wrist"),
        (camera_black, "blank_picture", "front"),
        (compressed_camera_black, "blank_picture", "wrist"),
        (clock_back, "clock_backwards", ""),
        (encoding_unknown, "unreadable_input", "32FC1"),
    ],
)
def test_a_fault_of_the_robot_holds_with_its_reason_until_resume(
    rig: Rig, cause: Callable[[Faults], None], kind: str, names: str
) -> None:
    rig.moving()
    cause(rig.arm.faults)
    said = rig.controller.wait_for(state="holding", fault=kind)
    assert names in said["reason"]
    rest = rig.wait_for_rest()
    rig.arm.faults = Faults()
    count = len(rig.arm.received)
    rig.controller.wait(lambda: len(rig.arm.received) > count + 20, "commands after the fault is over")
    assert rig.controller.last["state"] == "holding"
    assert rig.arm.position("slide") == pytest.approx(rest, abs=1e-6)
    rig.controller.wait(lambda: rig.controller.trigger("resume").success, "resume")
    if not rig.controller.last["instruction"]:
        rig.controller.set_parameter("instruction", "again")
    rig.wait_for_motion()


def test_after_a_nan_the_arm_moves_for_two_periods_at_most_and_then_brakes(rig: Rig) -> None:
    rig.moving()
    rig.arm.faults.joints_nan = True
    before = len(rig.arm.slide_ways)
    place = rig.arm.position("slide")
    rig.controller.wait_for(state="holding", fault="not_finite")
    rest = rig.wait_for_rest()
    assert abs(rest - place) <= VELOCITY * 2 * PERIOD_S + STOPPING_M + 1e-6
    speeds = [abs(way.points[0].velocities[0]) for way in rig.arm.slide_ways[before:]]
    # From the third command on every command is slower than the one before by what the acceleration limit allows.
    for earlier, later in pairwise(speeds[2:]):
        assert later <= max(earlier - ACCELERATION * PERIOD_S, 0.0) + 1e-9


@pytest.mark.parametrize(
    ("instruction", "kind", "text"),
    [
        ("fail", "policy_error", "NotFinite: The weights hold NaN."),
        ("break", "policy_error", "RuntimeError: a defect"),
        ("doubt", "low_value", "Value 0.050 is below the level 0.100."),
        ("jump", "jump", "Axis 'slide' is asked to jump"),
        ("nan", "not_finite", "The action is not finite"),
    ],
)
def test_what_a_policy_cannot_or_must_not_decide_is_a_hold(rig: Rig, instruction: str, kind: str, text: str) -> None:
    rig.controller.drive(instruction)
    said = rig.controller.wait_for(state="holding", fault=kind)
    assert text in said["reason"]
    assert {place for way in rig.arm.slide_ways for place in way.points[0].positions} == {0.0}
    if instruction == "break":
        assert "Traceback" in rig.controller.log and 'raise RuntimeError("a defect")' in rig.controller.log
    assert rig.controller.set_parameter("instruction", "move")
    assert rig.controller.trigger("resume").success
    rig.wait_for_motion()


def test_a_policy_that_thinks_does_not_delay_the_commands(tmp_path: Path, ros: None) -> None:
    with rig_in(tmp_path, "-p", "while_thinking:=continue", "-p", "execute_steps:=1") as rig:
        rig.controller.drive("think")
        count = len(rig.arm.slide_ways)
        rig.controller.wait(lambda: len(rig.arm.slide_ways) > count + 40, "commands while thinking")
        slide = [way.at_s for way in rig.arm.slide_ways[count:]]
        # Half a second of thinking holds ten periods: commands that waited for it would leave one gap in ten.
        gaps = sorted(later - earlier for earlier, later in pairwise(slide))
        assert gaps[len(gaps) * 8 // 10] < 0.4


def test_a_decision_that_takes_too_long_is_a_hold(tmp_path: Path, ros: None) -> None:
    with rig_in(tmp_path, "-p", "decision_timeout_s:=0.2") as rig:
        rig.controller.drive("think")
        assert "No decision for" in rig.controller.wait_for(state="holding", fault="late_decision")["reason"]


def start_camera() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(FOLDER / "camera_process.py")], env=os.environ.copy())


def test_a_killed_camera_holds_and_a_restarted_one_lets_resume_work_again(tmp_path: Path, ros: None) -> None:
    camera = start_camera()
    try:
        with rig_in(tmp_path, cameras=("wrist",)) as rig:
            rig.moving()
            camera.send_signal(signal.SIGKILL)
            camera.wait()
            assert "'front'" in rig.controller.wait_for(state="holding", fault="stale_input")["reason"]
            rig.wait_for_rest()
            assert "front" in rig.controller.trigger("resume").message
            camera = start_camera()
            rig.controller.wait(lambda: rig.controller.trigger("resume").success, "resume")
            rig.wait_for_motion()
    finally:
        camera.kill()
        camera.wait()


def test_a_killed_controller_leaves_an_arm_that_comes_to_rest_and_can_be_started_again(rig: Rig) -> None:
    rig.moving()
    rig.controller.kill()
    last = rig.arm.slide_ways[-1]
    assert not any(last.points[-1].velocities)
    end = last.points[-1].positions[0]
    rig.controller.wait(lambda: abs(rig.arm.position("slide") - end) < 1e-9, "the end of the last trajectory")
    rig.controller.diagnostics.clear()
    count = len(rig.arm.slide_ways)
    rig.controller.start()
    rig.controller.wait_until_it_answers()
    rig.controller.drive()
    rig.controller.wait(lambda: len(rig.arm.slide_ways) > count, "a command after the restart")
    first = rig.arm.slide_ways[count].points[0]
    assert first.positions[0] == pytest.approx(end, abs=1e-6)
    assert rig.controller.set_parameter("instruction", "move")
    rig.wait_for_motion()


def test_a_robot_that_is_discovered_late_is_waited_for_and_nothing_is_commanded(rig: Rig) -> None:
    rig.arm.faults.joints_silent, rig.arm.faults.silent = True, {"front", "wrist"}
    assert rig.controller.change_state(Transition.TRANSITION_CONFIGURE)
    assert rig.controller.change_state(Transition.TRANSITION_ACTIVATE)
    said = rig.controller.wait_for(state="inactive", **{"inputs level": "1"})
    rig.controller.wait(lambda: "never arrived" in rig.controller.last["reason"], "the reason")
    assert said["fault"] == ""
    assert rig.arm.received == []
    rig.arm.faults.joints_silent, rig.arm.faults.silent = False, set()
    rig.controller.wait_for(state="active")
    assert rig.controller.set_parameter("instruction", "move")
    rig.wait_for_motion()
