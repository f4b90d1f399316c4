"""A two-axis arm with a gripper, scripted from outside: the hands that the control tests use."""

from __future__ import annotations

import numpy as np

from vlm_qsft.control import (
    MEASUREMENT,
    ActionMapping,
    AxisAction,
    AxisLimits,
    CameraInput,
    Command,
    Controller,
    ControlSettings,
    DecisionRequest,
    RobotLimits,
    VectorInput,
)
from vlm_qsft.types import Decision

PERIOD_S = 0.05
STEP_S = 0.2

SLIDE = AxisLimits("slide", "m", -0.5, 0.5, 0.6, 4.0, goal_jump=0.2, measurement_jump=0.02)
TURN = AxisLimits("turn", "rad", -3.0, 3.0, 2.0, 10.0, goal_jump=1.0, measurement_jump=0.1)
GRIPPER = AxisLimits(
    "gripper", "1", -1.0, 1.0, 20.0, 400.0, goal_jump=3.0, measurement_jump=3.0, measurement_tolerance=0.05
)
LIMITS = RobotLimits((SLIDE, TURN, GRIPPER))
MAPPING = ActionMapping(
    action_names=("dx", "dturn", "gripper"),
    axis_actions=(
        AxisAction("slide", "dx", "delta_from_goal", scale=0.05),
        AxisAction("turn", "dturn", "delta_from_measured", scale=0.25),
        AxisAction("gripper", "gripper", "absolute", interpolation="step"),
    ),
    limits=LIMITS,
)
INPUTS = (
    VectorInput(MEASUREMENT, 3, max_age_s=0.12),
    VectorInput("tool_pose", 7, max_age_s=0.12),
    CameraInput("front", max_age_s=0.3, frozen_after_s=0.5),
    CameraInput("wrist", max_age_s=0.3, frozen_after_s=0.5, frozen_motion=0.02),
)
TIMES = ControlSettings(period_s=PERIOD_S, step_s=STEP_S, decision_timeout_s=0.6, max_tick_gap_s=0.2, min_value=0.1)


def picture(seed: int) -> np.ndarray:
    """Return a picture that differs from every other seed's."""
    return np.random.default_rng(seed).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)


def decision(action: object, *, value: float = 0.5) -> Decision:
    """Return a decision whose bins nobody looks at here."""
    rows = np.array(action, dtype=np.float32)
    scores = np.full((*rows.shape, 2), 0.5, dtype=np.float32)
    return Decision(rows, np.zeros(rows.shape, np.int64), scores, scores, value, 0.0, 0.0)


class Rig:
    """A controller, its clock, and an arm that stands exactly where it was commanded."""

    def __init__(self, settings: ControlSettings = TIMES, **controller: object) -> None:
        self.controller = Controller(mapping=MAPPING, settings=settings, inputs=INPUTS, **controller)  # type: ignore
        self.now_s = 100.0
        self.frame = 0
        self.position = np.zeros(3)
        self.silent: set[str] = set()
        self.frozen: set[str] = set()
        self.commands: list[Command] = []

    def sense(self) -> None:
        """Deliver every input that is not silent."""
        self.frame += 1
        if MEASUREMENT not in self.silent:
            self.controller.receive_measurement(self.position, self.now_s, stamp_s=self.now_s)
        if "tool_pose" not in self.silent:
            self.controller.receive_vector("tool_pose", np.arange(7.0), self.now_s)
        for camera in ("front", "wrist"):
            if camera not in self.silent:
                seed = 0 if camera in self.frozen else self.frame
                self.controller.receive_picture(camera, picture(seed), self.now_s, stamp_s=self.now_s)

    def tick(self, *, period_s: float = PERIOD_S) -> Command | None:
        """Let one period pass, sense, and return the command; the arm goes where it is told."""
        self.now_s += period_s
        self.sense()
        return self.command()

    def command(self) -> Command | None:
        """Return the command at this moment, nothing sensed before it."""
        command = self.controller.tick(self.now_s)
        if command is not None:
            self.commands.append(command)
            self.position = command.target.copy()
        return command

    def activated(self, instruction: str | None = "pick up the red cube") -> Rig:
        """Sense once, activate, instruct."""
        self.sense()
        self.controller.activate(self.now_s)
        if instruction is not None:
            self.controller.set_instruction(instruction, self.now_s)
        return self

    def ask(self) -> DecisionRequest:
        """Return the question that must be open to ask now."""
        request = self.controller.request_decision(self.now_s)
        assert request is not None
        return request

    def decide(self, action: object, *, value: float = 0.5) -> None:
        """Ask and answer at once."""
        assert self.controller.receive_decision(self.ask(), decision(action, value=value), self.now_s)

    def moving(self) -> Rig:
        """Activate and go far enough into a move that every axis has speed."""
        self.activated()
        self.decide([[1.0, 1.0, 0.0]])
        self.tick()
        self.tick()
        return self
