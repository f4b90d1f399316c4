"""Every fault leads to hold within two control periods, with its reason, and only an explicit call ends the hold."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import numpy as np
import pytest

from vlm_qsft.control import ControllerState, FaultKind
from vlm_qsft.control.rate_limiter import stopping_point
from vlm_qsft.errors import CommandRefused, UnknownName

from .rig import LIMITS, MEASUREMENT, PERIOD_S, TIMES, Rig, decision, picture


def send_nan(rig: Rig) -> None:
    rig.controller.receive_measurement(np.array([0.0, math.nan, 0.0]), rig.now_s)


def send_wrong_size(rig: Rig) -> None:
    rig.controller.receive_measurement(np.zeros(4), rig.now_s)


def send_jump(rig: Rig) -> None:
    rig.controller.receive_measurement(rig.position + np.array([0.1, 0.0, 0.0]), rig.now_s)
    rig.position = rig.position + np.array([0.1, 0.0, 0.0])


def send_nan_elsewhere(rig: Rig) -> None:
    rig.controller.receive_vector("tool_pose", np.full(7, math.nan), rig.now_s)


def send_black_picture(rig: Rig) -> None:
    rig.controller.receive_picture("front", np.zeros((8, 8, 3), np.uint8), rig.now_s)


def send_old_stamp(rig: Rig) -> None:
    rig.controller.receive_picture("front", picture(1), rig.now_s, stamp_s=rig.now_s - 10.0)


def answer_nan(rig: Rig) -> None:
    rig.decide([[0.0, math.nan, 0.0]])


def answer_wrong_size(rig: Rig) -> None:
    rig.decide([[0.0, 0.0]])


def answer_nothing(rig: Rig) -> None:
    rig.decide(np.zeros((0, 3)))


def answer_far_away(rig: Rig) -> None:
    rig.decide([[9.0, 0.0, 0.0]])


def answer_low_value(rig: Rig) -> None:
    rig.decide([[0.1, 0.0, 0.0]], value=0.05)


def answer_no_value(rig: Rig) -> None:
    rig.decide([[0.1, 0.0, 0.0]], value=math.nan)


def answer_an_error(rig: Rig) -> None:
    assert rig.controller.receive_failure(rig.ask(), UnknownName("word", "bleu", ["blue"]))


def press_hold(rig: Rig) -> None:
    rig.controller.hold("a person came near")


SUDDEN = [
    (send_nan, FaultKind.NOT_FINITE),
    (send_wrong_size, FaultKind.WRONG_SIZE),
    (send_jump, FaultKind.JUMP),
    (send_nan_elsewhere, FaultKind.NOT_FINITE),
    (send_black_picture, FaultKind.BLANK_PICTURE),
    (send_old_stamp, FaultKind.CLOCK_BACKWARDS),
    (answer_nan, FaultKind.NOT_FINITE),
    (answer_wrong_size, FaultKind.WRONG_SIZE),
    (answer_nothing, FaultKind.WRONG_SIZE),
    (answer_far_away, FaultKind.JUMP),
    (answer_low_value, FaultKind.LOW_VALUE),
    (answer_no_value, FaultKind.LOW_VALUE),
    (answer_an_error, FaultKind.POLICY_ERROR),
    (press_hold, FaultKind.OPERATOR),
]


def arrived(rig: Rig) -> Rig:
    """Let a started move end, so that a question can be asked."""
    for _ in range(8):
        rig.tick()
    return rig


@pytest.mark.parametrize(("cause", "kind"), SUDDEN, ids=[cause.__name__ for cause, _ in SUDDEN])
def test_a_sudden_fault_holds_at_the_next_tick_even_when_all_is_well_again_by_then(cause, kind):
    rig = Rig().moving()
    if cause.__name__.startswith("answer"):
        arrived(rig)
    cause(rig)
    command = rig.tick()
    assert command is not None
    assert command.kind == "hold"
    assert command.reason is not None
    assert command.reason.kind is kind
    assert rig.controller.state is ControllerState.HOLDING


@pytest.mark.parametrize(("cause", "kind"), SUDDEN, ids=[cause.__name__ for cause, _ in SUDDEN])
def test_a_hold_lasts_until_the_explicit_call_and_then_the_arm_moves_again(cause, kind):
    rig = Rig().moving()
    if cause.__name__.startswith("answer"):
        arrived(rig)
    cause(rig)
    for _ in range(40):
        command = rig.tick()
        assert command is not None
        assert command.kind == "hold"
        assert rig.controller.request_decision(rig.now_s) is None
    assert rig.controller.fault is not None
    assert rig.controller.fault.kind is kind
    rig.controller.resume(rig.now_s)
    assert rig.controller.fault is None
    rig.decide([[0.2, 0.0, 0.0]])
    moved = rig.tick()
    assert moved is not None
    assert moved.kind == "move"
    assert rig.controller.state is ControllerState.ACTIVE


@pytest.mark.parametrize(
    ("silent", "ticks"), [(MEASUREMENT, 3), ("tool_pose", 3), ("front", 7), ("wrist", 7)], ids=lambda value: str(value)
)
def test_each_input_that_falls_silent_holds_one_tick_after_its_largest_age(silent, ticks):
    rig = Rig().moving()
    rig.silent = {silent}
    kinds = [rig.tick().kind for _ in range(ticks)]  # type: ignore[union-attr]
    assert kinds == ["move"] * (ticks - 1) + ["hold"]
    assert rig.controller.fault is not None
    assert rig.controller.fault.kind is FaultKind.STALE_INPUT
    assert f"'{silent}'" in rig.controller.fault.text


def test_resuming_is_refused_while_an_input_is_still_silent_and_works_once_it_is_back():
    rig = Rig().moving()
    rig.silent = {"front"}
    for _ in range(15):
        rig.tick()
    with pytest.raises(CommandRefused, match="'front'"):
        rig.controller.resume(rig.now_s)
    rig.silent = set()
    rig.tick()
    assert rig.controller.state is ControllerState.HOLDING
    rig.controller.resume(rig.now_s)
    assert rig.controller.state is ControllerState.ACTIVE


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_a_frozen_picture_with_fresh_stamps_holds(camera):
    rig = Rig().activated()
    rig.frozen = {camera}
    for tick in range(40):
        if request := rig.controller.request_decision(rig.now_s):
            rig.controller.receive_decision(request, decision([[1.0 if tick < 20 else -1.0, 0, 0]]), rig.now_s)
        command = rig.tick()
        assert command is not None
        if command.kind == "hold":
            break
    assert command.reason is not None
    assert command.reason.kind is FaultKind.FROZEN_PICTURE
    # 0.5 s of the same picture are 10 ticks after the first one; the wrist camera also needs 0.02 m of motion.
    assert 10 <= tick <= 12


def test_a_resting_scene_of_a_noiseless_camera_does_not_hold():
    rig = Rig(replace(TIMES, decision_timeout_s=60.0)).activated()
    rig.frozen = {"wrist"}
    for _ in range(40):
        rig.tick()
    assert rig.controller.state is ControllerState.ACTIVE


def test_a_control_clock_that_goes_back_holds_and_forgets_what_it_measured_time_with():
    rig = Rig().moving()
    rig.now_s -= 50.0
    command = rig.command()
    assert command is not None
    assert command.reason is not None
    assert command.reason.kind is FaultKind.CLOCK_BACKWARDS
    with pytest.raises(CommandRefused):
        rig.controller.resume(rig.now_s)
    for _ in range(10):
        rig.tick()
    rig.controller.resume(rig.now_s)
    assert rig.controller.instruction is None


def test_a_clock_that_jumps_forward_holds():
    rig = Rig().moving()
    rig.now_s += 3600.0
    rig.sense()
    command = rig.command()
    assert command is not None
    assert command.reason is not None
    assert command.reason.kind is FaultKind.LATE_TICK


def test_a_clock_that_is_not_a_number_holds_and_the_arm_still_brakes():
    rig = Rig().moving()
    for _ in range(6):
        command = rig.controller.tick(math.nan)
    assert command is not None
    assert command.kind == "hold"
    assert command.velocity == pytest.approx(np.zeros(3))


def test_an_expired_instruction_holds_and_the_robot_does_not_take_it_up_again():
    rig = Rig().activated(instruction=None)
    rig.controller.set_instruction("pick up the red cube", rig.now_s, time_limit_s=0.5)
    rig.decide([[1.0, 0, 0]])
    kinds = []
    for _ in range(12):
        kinds.append(rig.tick().kind)  # type: ignore[union-attr]
        if request := rig.controller.request_decision(rig.now_s):
            rig.controller.receive_decision(request, decision([[0.1, 0, 0]]), rig.now_s)
    assert kinds == ["move"] * 10 + ["hold"] * 2
    assert rig.controller.fault is not None
    assert rig.controller.fault.kind is FaultKind.INSTRUCTION_EXPIRED
    rig.controller.resume(rig.now_s)
    assert rig.controller.request_decision(rig.now_s) is None


def test_a_policy_that_does_not_answer_in_time_holds_and_its_late_answer_is_dropped():
    rig = Rig().activated()
    request = rig.ask()
    kinds = [rig.tick().kind for _ in range(13)]  # type: ignore[union-attr]
    assert kinds == ["move"] * 12 + ["hold"]
    assert rig.controller.fault is not None
    assert rig.controller.fault.kind is FaultKind.LATE_DECISION
    assert not rig.controller.receive_decision(request, decision([[1.0, 0, 0]]), rig.now_s)


def test_a_late_answer_between_two_ticks_holds_too():
    rig = Rig().activated()
    request = rig.ask()
    for _ in range(12):
        rig.tick()
    assert rig.controller.receive_decision(request, decision([[1.0, 0, 0]]), rig.now_s + 0.01)
    assert rig.controller.state is ControllerState.HOLDING


def test_nobody_asking_the_policy_holds_after_the_same_time():
    rig = Rig().activated()
    while (command := rig.tick()) is not None and command.kind == "move":
        assert rig.now_s < 110.0
    assert rig.controller.fault is not None
    assert rig.controller.fault.kind is FaultKind.LATE_DECISION


def test_a_chunk_whose_steps_have_all_passed_is_a_late_decision():
    rig = Rig(replace(TIMES, while_thinking="continue", decision_timeout_s=5.0)).activated()
    request = rig.ask()
    for _ in range(9):
        rig.tick()
    rig.controller.receive_decision(request, decision([[1.0, 0, 0], [1.0, 0, 0]]), rig.now_s)
    assert rig.controller.fault is not None
    assert rig.controller.fault.kind is FaultKind.LATE_DECISION
    assert "All 2 steps" in rig.controller.fault.text


def test_a_hold_brakes_within_the_limits_and_stays_where_it_comes_to_rest():
    rig = Rig().moving()
    rig.controller.hold("stop please")
    targets = [rig.tick().target for _ in range(10)]  # type: ignore[union-attr]
    assert targets[-1] == pytest.approx(targets[-3])
    assert (np.abs(targets[-1]) > 1e-3)[:2].all()
    assert (np.abs(targets[-1] - targets[0]) < 0.05).all()


def test_resuming_while_the_arm_brakes_is_refused():
    rig = Rig().moving()
    rig.controller.hold("stop please")
    with pytest.raises(CommandRefused, match="still brakes"):
        rig.controller.resume(rig.now_s)


def test_resuming_leads_the_target_to_where_the_arm_was_pushed_without_a_step():
    rig = Rig().moving()
    rig.controller.hold("let me push it")
    for _ in range(10):
        rig.tick()
    held = rig.position.copy()
    pushed = held + np.array([0.0, 0.6, 0.0])
    for share in np.linspace(0, 1, 21):
        rig.now_s += PERIOD_S
        rig.position = held + share * (pushed - held)
        rig.sense()
        rig.controller.tick(rig.now_s)
    rig.controller.resume(rig.now_s)
    way = [held[1]]
    for _ in range(20):
        rig.now_s += PERIOD_S
        rig.position = pushed
        rig.sense()
        command = rig.controller.tick(rig.now_s)
        assert command is not None
        way.append(command.target[1])
    assert np.diff(way).max() <= LIMITS.velocity[1] * PERIOD_S + 1e-9
    assert way[-1] == pytest.approx(pushed[1], abs=1e-6)
    assert rig.ask().goal == pytest.approx(pushed)


def test_an_emergency_stop_is_latched_against_everything_but_its_own_clearing():
    rig = Rig().moving()
    rig.controller.emergency_stop("button on the table")
    command = rig.tick()
    assert command is not None
    assert command.kind == "hold"
    assert command.reason is not None
    assert command.reason.kind is FaultKind.EMERGENCY_STOP
    for refused in (rig.controller.activate, rig.controller.resume):
        with pytest.raises(CommandRefused, match="stopped"):
            refused(rig.now_s)
    rig.controller.deactivate()
    rig.controller.set_instruction("go on", rig.now_s)
    rig.tick()
    assert rig.controller.state is ControllerState.STOPPED
    rig.controller.clear_stop()
    assert rig.controller.state is ControllerState.INACTIVE
    with pytest.raises(CommandRefused, match="no emergency stop"):
        rig.controller.clear_stop()


def test_an_emergency_stop_works_before_activation_and_from_another_thread():
    rig = Rig()
    thread = threading.Thread(target=rig.controller.emergency_stop, args=("pressed",))
    thread.start()
    thread.join()
    with pytest.raises(CommandRefused, match="stopped"):
        rig.activated()
    assert rig.tick() is None


def test_a_decision_that_arrives_after_an_emergency_stop_moves_nothing():
    rig = Rig().activated()
    request = rig.ask()
    rig.controller.emergency_stop("button")
    assert not rig.controller.receive_decision(request, decision([[1.0, 1.0, 1.0]]), rig.now_s)
    for _ in range(5):
        rig.tick()
    assert rig.position == pytest.approx(np.zeros(3))


def test_the_stopping_point_of_a_hold_becomes_the_next_goal():
    rig = Rig().moving()
    moving = rig.commands[-1]
    rig.controller.clear_instruction()
    rig.controller.set_instruction("next", rig.now_s)
    for _ in range(30):
        rig.tick()
        if request := rig.controller.request_decision(rig.now_s):
            break
    expected = stopping_point(type("Last", (), {"position": moving.target, "velocity": moving.velocity})(), LIMITS)  # type: ignore
    assert request is not None
    assert request.goal == pytest.approx(expected)
