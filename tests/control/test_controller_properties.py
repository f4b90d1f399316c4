"""Whatever happens in whatever order: no command breaks a limit, steps, or moves without leave."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from vlm_qsft.control import MEASUREMENT, Command, ControllerState, DecisionRequest
from vlm_qsft.errors import CommandRefused, NotFinite

from .rig import LIMITS, PERIOD_S, TIMES, Rig, decision

ROUNDING = 1e-9
numbers = st.one_of(st.floats(-3, 3), st.floats(-100, 100), st.sampled_from([math.nan, math.inf]))
wild_rows = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=4)
rows = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(-1, 1)), min_size=1, max_size=4)
lateness = st.one_of(st.floats(0.2, 1.0), st.floats(1.0, 3.5))


class AnyOrder(RuleBasedStateMachine):
    """Drives a controller at random and judges every command against the one before it."""

    @initialize(
        execute_steps=st.integers(1, 3),
        while_thinking=st.sampled_from(["wait", "continue"]),
        start=st.tuples(st.floats(-0.5, 0.5), st.floats(-3, 3), st.floats(-1, 1)),
    )
    def build(self, execute_steps, while_thinking, start) -> None:
        self.rig = Rig(replace(TIMES, execute_steps=execute_steps, while_thinking=while_thinking))
        self.controller = self.rig.controller
        self.rig.position = np.array(start)
        self.last: Command | None = None
        self.asked: list[DecisionRequest] = []
        self.may_move = False
        self.rig.sense()

    def judge(self, command: Command | None, duration_s: float) -> None:
        before, self.last = self.last, command
        state = self.controller.state
        if command is None:
            assert state in (ControllerState.INACTIVE, ControllerState.STOPPED)
            return
        assert np.isfinite(command.target).all()
        assert (command.target >= LIMITS.lower).all()
        assert (command.target <= LIMITS.upper).all()
        assert (np.abs(command.velocity) <= LIMITS.velocity + ROUNDING).all()
        assert (command.reason is None) == (command.kind == "move")
        if command.kind == "move":
            assert self.may_move
            assert state is ControllerState.ACTIVE
        if before is not None:
            way = command.target - before.target
            assert np.allclose(way, command.velocity * duration_s, atol=1e-7)
            assert (np.abs(command.velocity - before.velocity) <= LIMITS.acceleration * duration_s + ROUNDING).all()
        if state is not ControllerState.ACTIVE:
            self.may_move = False

    def activate(self) -> None:
        with suppress(CommandRefused):
            self.controller.activate(self.rig.now_s)
            self.may_move = True
            # The arm may have been moved by others before: the first command after activation has no predecessor.
            self.last = None

    def resume(self) -> None:
        with suppress(CommandRefused):
            self.controller.resume(self.rig.now_s)
            self.may_move = True

    def recover(self) -> None:
        self.rig.silent.clear()
        self.rig.frozen.clear()
        self.rig.sense()

    def clear_stop(self) -> None:
        with suppress(CommandRefused):
            self.controller.clear_stop()
            assert self.controller.state is ControllerState.INACTIVE

    @rule(action=rows, late=lateness, count=st.integers(1, 10))
    def drive(self, action, late, count) -> None:
        """Do what an operator does to get the arm going from wherever it is, then let it move for some ticks."""
        self.clear_stop()
        self.recover()
        for _ in range(16):
            self.judge(self.rig.tick(), PERIOD_S)
        self.activate()
        self.resume()
        self.controller.set_instruction("pick up the red cube", self.rig.now_s)
        for _ in range(40):
            if request := self.controller.request_decision(self.rig.now_s):
                assert self.controller.receive_decision(request, decision(action), self.rig.now_s)
                break
            self.judge(self.rig.tick(), PERIOD_S)
        self.ticks(late, count)

    @rule(late=lateness, count=st.integers(1, 12))
    def ticks(self, late, count) -> None:
        for _ in range(count):
            self.judge(self.rig.tick(period_s=late * PERIOD_S), min(late, 1.0) * PERIOD_S)

    @rule(seconds=st.sampled_from([-3.0, -0.01, 0.0, 0.3, 100.0]))
    def clock_jumps(self, seconds) -> None:
        was_active = self.controller.state is ControllerState.ACTIVE
        self.rig.now_s += seconds
        command = self.rig.command()
        self.judge(command, PERIOD_S if seconds < 0 else min(seconds, PERIOD_S))
        if was_active and (seconds < 0 or seconds > TIMES.max_tick_gap_s):
            assert command is not None
            assert command.kind == "hold"

    @rule(
        call=st.sampled_from(
            ["activate", "resume", "hold", "deactivate", "stop", "clear", "instruct", "expire", "finish"]
        )
    )
    def operator(self, call) -> None:
        controller, now_s = self.controller, self.rig.now_s
        match call:
            case "activate":
                self.activate()
            case "resume":
                self.resume()
            case "hold":
                controller.hold("asked")
            case "deactivate":
                controller.deactivate()
            case "stop":
                controller.emergency_stop("pressed")
                assert controller.state is ControllerState.STOPPED
            case "clear":
                self.clear_stop()
            case "finish":
                controller.clear_instruction()
            case _:
                limit_s = 0.2 if call == "expire" else None
                controller.set_instruction("pick up the red cube", now_s, time_limit_s=limit_s)

    @rule(
        event=st.sampled_from(["silent", "frozen", "recovered", "pushed", "measured"]),
        name=st.sampled_from([MEASUREMENT, "tool_pose", "front", "wrist"]),
        push=st.tuples(st.floats(-0.1, 0.1), st.floats(-0.5, 0.5)),
        values=st.lists(numbers, min_size=0, max_size=4),
    )
    def inputs(self, event, name, push, values) -> None:
        match event:
            case "silent":
                self.rig.silent.add(name)
            case "frozen":
                self.rig.frozen.add(name)
            case "recovered":
                self.recover()
            case "pushed":
                self.rig.position = np.clip(self.rig.position + np.array([*push, 0.0]), LIMITS.lower, LIMITS.upper)
                self.rig.sense()
            case "measured":
                self.controller.receive_measurement(np.array(values), self.rig.now_s)

    @rule(action=st.one_of(rows, wild_rows), value=st.sampled_from([0.5, 0.9, 0.05, math.nan]), fails=st.booleans())
    def policy(self, action, value, fails) -> None:
        """Ask when it is time, and answer: also questions that are long closed."""
        if request := self.controller.request_decision(self.rig.now_s):
            assert self.controller.state is ControllerState.ACTIVE
            self.asked.append(request)
        if self.asked and fails:
            self.controller.receive_failure(self.asked[-1], NotFinite("the state holds NaN"))
        elif self.asked:
            self.controller.receive_decision(self.asked[-1], decision(action, value=value), self.rig.now_s)


AnyOrder.TestCase.settings = settings(max_examples=80, stateful_step_count=30)
TestAnyOrder = AnyOrder.TestCase
