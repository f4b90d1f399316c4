"""What the controller does when all goes well: states, first command, chunks, questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vlm_qsft.control import MEASUREMENT, Controller, ControllerState, Fault, FaultKind, VectorInput
from vlm_qsft.errors import CommandRefused, InvalidSetting

from .rig import INPUTS, LIMITS, MAPPING, PERIOD_S, TIMES, Rig, decision


def test_an_inactive_controller_sends_nothing():
    rig = Rig()
    assert rig.tick() is None
    assert rig.controller.state is ControllerState.INACTIVE


def test_the_first_command_after_activation_starts_at_the_measured_position():
    rig = Rig()
    rig.position = np.array([0.21, -1.3, 0.4])
    rig.activated()
    command = rig.tick()
    assert command is not None
    assert command.kind == "move"
    assert command.target == pytest.approx([0.21, -1.3, 0.4])
    assert command.velocity == pytest.approx(np.zeros(3))


def test_the_first_move_after_activation_leaves_the_measured_position_within_one_tick_of_acceleration():
    rig = Rig()
    rig.position = np.array([0.21, -1.3, 0.4])
    rig.activated()
    rig.decide([[1.0, 0.0, 0.4]])
    command = rig.tick()
    assert command is not None
    # 4 m/s^2 over 0.05 s: 0.2 m/s, hence 0.01 m; the goal is 0.05 m away and asks for 0.25 m/s.
    assert command.target == pytest.approx([0.22, -1.3, 0.4])
    assert command.velocity == pytest.approx([0.2, 0.0, 0.0], abs=1e-6)


def test_activation_needs_every_input():
    rig = Rig()
    rig.silent = {"wrist"}
    with pytest.raises(CommandRefused, match="'wrist' never arrived"):
        rig.activated()
    assert rig.controller.state is ControllerState.INACTIVE
    assert rig.tick() is None


def test_activation_is_refused_outside_the_limits_with_axis_and_distance():
    rig = Rig()
    rig.position = np.array([0.53, 0.0, 0.0])
    with pytest.raises(CommandRefused, match=r"Axis 'slide' is beyond its limit by 0.03 m"):
        rig.activated()


def test_a_gripper_that_reads_a_hair_beyond_its_limit_starts_on_the_limit():
    rig = Rig()
    rig.position = np.array([0.0, 0.0, 1.04])
    command = rig.activated().tick()
    assert command is not None
    assert command.target[2] == 1.0


def test_activation_of_an_active_controller_is_refused():
    rig = Rig().activated()
    with pytest.raises(CommandRefused, match="it is active"):
        rig.controller.activate(rig.now_s)


def test_without_an_instruction_the_arm_stays_and_no_question_is_asked():
    rig = Rig().activated(instruction=None)
    command = rig.tick()
    assert command is not None
    assert command.kind == "hold"
    assert command.reason is not None
    assert command.reason.kind is FaultKind.NO_INSTRUCTION
    assert rig.controller.state is ControllerState.ACTIVE
    assert rig.controller.request_decision(rig.now_s) is None


def test_a_question_carries_instruction_goal_and_measurement_and_is_asked_once():
    rig = Rig()
    rig.position = np.array([0.1, 0.2, 0.3])
    request = rig.activated("move the ball near the cube").ask()
    assert request.instruction == "move the ball near the cube"
    assert request.requested_s == rig.now_s
    assert request.goal == pytest.approx([0.1, 0.2, 0.3])
    assert request.measured == pytest.approx([0.1, 0.2, 0.3])
    assert rig.controller.request_decision(rig.now_s) is None


def test_an_action_is_executed_in_its_time_and_the_next_question_comes_when_the_arm_has_arrived():
    rig = Rig().activated()
    rig.decide([[1.0, 1.0, -1.0]])
    asked_after = None
    for tick in range(1, 12):
        rig.tick()
        if asked_after is None and rig.controller.request_decision(rig.now_s):
            asked_after = tick
    # The step lasts 4 ticks; 0.25 rad at 10 rad/s^2 take at least 2 sqrt(0.25 / 10) = 0.316 s, 7 ticks.
    assert asked_after is not None
    assert 7 <= asked_after <= 8
    assert rig.position == pytest.approx([0.05, 0.25, -1.0], abs=1e-4)


def test_the_goals_of_one_decision_after_the_other_add_up_though_the_arm_lags():
    rig = Rig().activated()
    for _ in range(3):
        rig.decide([[1.0, 0.0, 0.0]])
        for _ in range(8):
            rig.tick()
    assert rig.position[0] == pytest.approx(0.15, abs=1e-4)


def test_a_gripper_of_kind_step_moves_at_once_and_an_interpolated_axis_does_not():
    rig = Rig().activated()
    rig.decide([[1.0, 1.0, 1.0]])
    command = rig.tick()
    assert command is not None
    assert command.target[2] > 0.6
    assert command.target[1] < 0.25 / 3


def test_only_the_steps_to_execute_of_a_chunk_are_executed_while_waiting():
    rig = Rig(replace(TIMES, execute_steps=2)).activated()
    rig.decide([[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]])
    for _ in range(12):
        rig.tick()
    assert rig.position[0] == pytest.approx(0.10, abs=1e-4)


def test_a_chunk_is_consumed_step_by_step_with_set_points_between_the_control_ticks():
    rig = Rig(replace(TIMES, execute_steps=2)).activated()
    rig.decide([[1.0, 0, 0], [-1.0, 0, 0]])
    way = []
    for _ in range(12):
        rig.tick()
        way.append(rig.position[0])
    assert max(way) == pytest.approx(0.05, abs=0.006)
    assert 3 <= int(np.argmax(way)) <= 5
    assert way[-1] == pytest.approx(0.0, abs=1e-4)


def test_while_continuing_the_old_chunk_goes_on_until_the_new_one_arrives_and_passed_steps_are_left_out():
    rig = Rig(replace(TIMES, execute_steps=2, while_thinking="continue", decision_timeout_s=2.0)).activated()
    rig.decide([[1.0, 0, 0]] * 4)
    for _ in range(8):
        rig.tick()
    request = rig.ask()
    assert request.goal[0] == pytest.approx(0.10, abs=1e-6)
    for _ in range(6):  # 0.3 s of thinking: one step of the new chunk has passed, the second is half over
        rig.tick()
    # Ramps of 0.05 m per 0.2 s: 0.10 + 0.3 / 0.2 * 0.05.
    assert rig.position[0] == pytest.approx(0.175, abs=0.01)
    assert rig.controller.receive_decision(request, decision([[-1.0, 0, 0]] * 3), rig.now_s)
    for _ in range(20):
        rig.tick()
    # Deltas count from the goal at the question: 0.10 - 3 * 0.05.
    assert rig.position[0] == pytest.approx(-0.05, abs=1e-4)


def test_an_answer_to_a_question_that_is_no_longer_open_changes_nothing():
    rig = Rig().activated()
    request = rig.ask()
    rig.controller.set_instruction("something else", rig.now_s)
    assert not rig.controller.receive_decision(request, decision([[1.0, 1.0, 1.0]]), rig.now_s)
    for _ in range(5):
        rig.tick()
        assert rig.position == pytest.approx(np.zeros(3))
    assert rig.ask().instruction == "something else"


def test_a_new_instruction_drops_the_plan_of_the_old_one():
    rig = Rig().moving()
    rig.controller.set_instruction("stop it", rig.now_s)
    for _ in range(8):
        rig.tick()
    assert rig.controller.state is ControllerState.ACTIVE
    assert rig.position[0] < 0.045
    assert rig.commands[-1].velocity == pytest.approx(np.zeros(3), abs=1e-6)


def test_a_finished_instruction_lets_the_arm_brake_and_wait_without_a_fault():
    rig = Rig().moving()
    rig.controller.clear_instruction()
    for _ in range(5):
        command = rig.tick()
    assert command is not None
    assert command.kind == "hold"
    assert rig.controller.fault is None
    rig.controller.set_instruction("again", rig.now_s)
    rig.decide([[1.0, 0, 0]])
    moved = rig.tick()
    assert moved is not None
    assert moved.kind == "move"


def test_an_empty_instruction_and_senseless_times_are_refused():
    rig = Rig().activated(instruction=None)
    with pytest.raises(InvalidSetting, match="at least one word"):
        rig.controller.set_instruction("  ", rig.now_s)
    with pytest.raises(InvalidSetting, match="time_limit_s"):
        rig.controller.set_instruction("go", rig.now_s, time_limit_s=0.0)
    with pytest.raises(InvalidSetting, match="must be a number"):
        rig.controller.set_instruction("go", float("nan"))
    assert rig.controller.instruction is None


def test_deactivation_brakes_then_sends_nothing():
    rig = Rig().moving()
    rig.controller.deactivate()
    kinds = [None if command is None else command.kind for command in (rig.tick() for _ in range(10))]
    assert kinds[0] == "hold"
    assert kinds[-1] is None
    assert None not in kinds[: kinds.index(None)]
    assert rig.commands[-1].velocity == pytest.approx(np.zeros(3))


def test_activation_is_refused_while_the_arm_still_brakes():
    rig = Rig().moving()
    rig.controller.deactivate()
    with pytest.raises(CommandRefused, match="still brakes"):
        rig.controller.activate(rig.now_s)


def test_the_arm_can_be_moved_by_hand_while_inactive_and_activated_where_it_is_then():
    rig = Rig().moving()
    rig.controller.deactivate()
    while rig.tick() is not None:
        pass
    for _ in range(30):
        rig.position = rig.position + np.array([-0.01, 0.02, 0.0])
        rig.tick()
    expected = rig.position.copy()
    command = rig.activated().tick()
    assert command is not None
    assert command.target == pytest.approx(expected)


def test_a_late_tick_moves_no_farther_than_one_period_allows():
    rig = Rig().activated()
    rig.decide([[1.0, 1.0, 0.0]])
    for period_s in (PERIOD_S, 3 * PERIOD_S, 0.2 * PERIOD_S, PERIOD_S):
        before = rig.position.copy()
        rig.tick(period_s=period_s)
        assert (np.abs(rig.position - before) <= LIMITS.velocity * min(period_s, PERIOD_S) + 1e-12).all()
    assert rig.controller.state is ControllerState.ACTIVE


def test_a_controller_without_a_measurement_of_every_axis_is_refused():
    wrong = (VectorInput(MEASUREMENT, 2, 0.1), *INPUTS[1:])
    with pytest.raises(InvalidSetting, match="of size 3, one per axis; got 2"):
        Controller(mapping=MAPPING, settings=TIMES, inputs=wrong)
    with pytest.raises(InvalidSetting, match="got none"):
        Controller(mapping=MAPPING, settings=TIMES, inputs=INPUTS[1:])


def test_what_passes_between_an_observation_and_its_decision_is_left_out_by_the_stamp_of_the_observation():
    rig = Rig(replace(TIMES, execute_steps=2, while_thinking="continue", decision_timeout_s=2.0)).activated()
    rig.decide([[1.0, 0, 0]] * 4)
    for _ in range(8):
        rig.tick()
    request = rig.ask()
    for _ in range(2):
        rig.tick()
    # The picture came 0.1 s after the question: the goal then was half a step farther.
    seen = rig.controller.note_observation(request, rig.now_s, rig.position)
    assert seen is not None
    assert (seen.requested_s, seen.observed_s) == (request.requested_s, rig.now_s)
    assert seen.goal[0] == pytest.approx(0.125, abs=1e-6)
    for _ in range(6):
        rig.tick()
    # 0.3 s after the observation the second of two steps is still ahead; counted from the question both have passed.
    assert rig.controller.receive_decision(seen, decision([[-1.0, 0, 0]] * 2), rig.now_s)
    assert rig.controller.state is ControllerState.ACTIVE
    for _ in range(20):
        rig.tick()
    assert rig.position[0] == pytest.approx(0.125 - 2 * 0.05, abs=1e-4)


def test_a_question_that_is_no_longer_open_has_no_observation():
    rig = Rig().activated()
    request = rig.ask()
    rig.controller.set_instruction("something else", rig.now_s)
    assert rig.controller.note_observation(request, rig.now_s, rig.position) is None


def test_a_fault_from_outside_holds_with_its_reason():
    rig = Rig().moving()
    rig.controller.receive_fault(Fault(FaultKind.UNREADABLE_INPUT, "Input 'front' cannot be read."))
    command = rig.tick()
    assert command is not None
    assert (command.kind, command.reason) == (
        "hold",
        Fault(FaultKind.UNREADABLE_INPUT, "Input 'front' cannot be read."),
    )
