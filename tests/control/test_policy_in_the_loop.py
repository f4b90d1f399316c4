"""From an observation to a command, with a real policy read from a checkpoint folder and a real controller."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from vlm_qsft.control import MEASUREMENT, Command, ControllerState, DecisionRequest, FaultKind
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.errors import CommandRefused, QsftError
from vlm_qsft.model import ModelSettings, StateStatistics, build_scorer, load_checkpoint, save_checkpoint
from vlm_qsft.policy import PolicySettings, QPolicy
from vlm_qsft.tokens import ActionTokenizer
from vlm_qsft.types import Decision, Observation, Policy

from .rig import INPUTS, LIMITS, MAPPING, PERIOD_S, TIMES, Rig, picture

INSTRUCTION = "pick up the red cube"
CAMERAS = ("front", "wrist")
SCHEMA = DatasetSchema(
    cameras=dict.fromkeys(CAMERAS, (8, 8)),
    state_names=("slide", "turn", "gripper"),
    action_names=MAPPING.action_names,
    fps=Fraction(5),
)
STALE_AFTER_TICKS = 7  # the cameras of the rig may be 0.3 s old: six periods
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an untrained checkpoint that values every state at 0.5."""
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (200, 3))
    tokenizer = ActionTokenizer.fit(actions, action_names=SCHEMA.action_names, n_bins=8, chunk=2)
    settings = ModelSettings(channels=8, width=16, layers=1, image_size=(16, 16))
    statistics = StateStatistics((0.0,) * 3, (1.0,) * 3)
    torch.manual_seed(0)
    behavior, q_model = (build_scorer(settings, SCHEMA, tokenizer, [INSTRUCTION], statistics) for _ in range(2))
    q_model.reset_dummy(0.5)
    path = tmp_path_factory.mktemp("run") / "policy"
    save_checkpoint(
        path, behavior=behavior, q_model=q_model, action_tokenizer=tokenizer, schema=SCHEMA, metadata={"steps": 0}
    )
    return path


class Robot(Rig):
    """The rig with a policy that answers the controller's questions from what the rig has just sensed."""

    def __init__(self, folder: Path, *, position: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        super().__init__()
        self.position = np.array(position)
        self.checkpoint = load_checkpoint(folder, "cpu")
        self.policy: Policy = QPolicy(self.checkpoint, PolicySettings("ratio", temperature=1.0), "cpu")
        self.policy.reset(INSTRUCTION, seed=0)
        self.cameras: tuple[str, ...] = CAMERAS
        self.decisions: list[Decision] = []
        self.activated(INSTRUCTION)

    def look(self) -> Observation:
        images = {camera: picture(self.frame) for camera in self.cameras}
        return Observation(images, self.position.astype(np.float32), self.now_s)

    def answer(self, request: DecisionRequest) -> bool:
        try:
            decision = self.policy.act(self.look())
        except QsftError as error:
            return self.controller.receive_failure(request, error)
        self.decisions.append(decision)
        return self.controller.receive_decision(request, decision, self.now_s)

    def step(self) -> Command:
        """Let one period pass: sense, think where it is time to, command."""
        self.now_s += PERIOD_S
        self.sense()
        request = self.controller.request_decision(self.now_s)
        if request is not None:
            assert self.answer(request)
        command = self.command()
        assert command is not None
        return command

    def steps(self, count: int) -> list[Command]:
        return [self.step() for _ in range(count)]


@pytest.fixture
def robot(folder: Path) -> Robot:
    return Robot(folder)


def reason(command: Command) -> FaultKind | None:
    return None if command.reason is None else command.reason.kind


def test_decisions_of_a_policy_become_commands_within_every_limit(robot: Robot) -> None:
    commands = robot.steps(100)
    assert all(command.kind == "move" for command in commands)
    assert len(robot.decisions) >= 15
    targets, velocities = (np.stack([getattr(c, field) for c in commands]) for field in ("target", "velocity"))
    assert (np.ptp(targets, axis=0) > [0.02, 0.2, 0.5]).all()  # every axis goes somewhere
    assert (targets >= LIMITS.lower - ROUNDING).all()
    assert (targets <= LIMITS.upper + ROUNDING).all()
    assert (np.abs(velocities) <= LIMITS.velocity + ROUNDING).all()
    assert (np.abs(np.diff(velocities, axis=0)) <= LIMITS.acceleration * PERIOD_S + ROUNDING).all()
    np.testing.assert_allclose(np.diff(targets, axis=0), velocities[1:] * PERIOD_S, atol=1e-6)


def test_the_first_goal_is_the_decoded_action_added_to_where_the_arm_stands(folder: Path) -> None:
    robot = Robot(folder, position=(0.1, -0.4, 0.0))
    robot.step()
    while len(robot.decisions) == 1:
        robot.step()
    arrived, (dx, dturn, gripper) = robot.commands[-2].target, robot.decisions[0].action[0]
    assert arrived == pytest.approx([0.1 + 0.05 * dx, -0.4 + 0.25 * dturn, gripper], abs=1e-3)


def test_a_stale_camera_makes_the_arm_hold_until_resume_is_called(robot: Robot) -> None:
    robot.steps(10)
    robot.silent = {"front"}
    robot.steps(STALE_AFTER_TICKS)
    held = robot.commands[-1]
    assert (held.kind, reason(held)) == ("hold", FaultKind.STALE_INPUT)
    assert "'front'" in str(held.reason)
    robot.steps(10)
    resting = robot.commands[-1]
    assert (resting.velocity == 0).all()
    with pytest.raises(CommandRefused, match="'front'"):
        robot.controller.resume(robot.now_s)

    robot.silent = set()
    thoughts = len(robot.decisions)
    for command in robot.steps(20):
        assert (command.kind, reason(command)) == ("hold", FaultKind.STALE_INPUT)
        np.testing.assert_array_equal(command.target, resting.target)
    assert len(robot.decisions) == thoughts

    robot.controller.resume(robot.now_s)
    assert {command.kind for command in robot.steps(10)} == {"move"}
    assert len(robot.decisions) > thoughts
    assert np.abs(robot.position - resting.target).max() > 1e-3


def test_an_answer_that_comes_after_the_camera_has_died_moves_nothing(robot: Robot) -> None:
    robot.silent = {"wrist"}
    robot.now_s += PERIOD_S
    robot.sense()
    request = robot.ask()
    for _ in range(STALE_AFTER_TICKS):
        robot.tick()
    assert robot.controller.state is ControllerState.HOLDING
    before = robot.position.copy()
    assert not robot.answer(request)
    robot.steps(5)
    np.testing.assert_array_equal(robot.position, before)


def test_what_the_policy_cannot_answer_is_a_hold_with_its_reason(robot: Robot) -> None:
    robot.steps(3)
    robot.cameras = ("front",)
    robot.steps(10)
    last = robot.commands[-1]
    assert (last.kind, reason(last)) == ("hold", FaultKind.POLICY_ERROR)
    assert "UnknownName: Camera 'wrist'" in str(last.reason)


def test_weights_that_are_not_numbers_are_a_hold_and_never_a_command(robot: Robot) -> None:
    assert robot.checkpoint.q_model is not None
    with torch.no_grad():
        for parameter in robot.checkpoint.q_model.parameters():
            parameter.fill_(float("nan"))
    robot.policy = QPolicy(robot.checkpoint, PolicySettings("ratio", temperature=1.0), "cpu")
    robot.policy.reset(INSTRUCTION, seed=0)
    commands = robot.steps(5)
    assert {command.kind for command in commands} == {"hold"}
    assert reason(commands[-1]) is FaultKind.POLICY_ERROR
    assert all(np.isfinite(command.target).all() for command in commands)


def test_a_policy_that_expects_no_success_makes_the_arm_hold(robot: Robot) -> None:
    assert robot.checkpoint.q_model is not None
    robot.checkpoint.q_model.reset_dummy(0.95)
    robot.policy = QPolicy(robot.checkpoint, PolicySettings("ratio", temperature=1.0), "cpu")
    robot.policy.reset(INSTRUCTION, seed=0)
    assert TIMES.min_value is not None and TIMES.min_value > 0.05
    assert reason(robot.step()) is FaultKind.LOW_VALUE


def test_the_rig_watches_what_the_policy_sees() -> None:
    assert {MEASUREMENT, *CAMERAS} <= {watched.name for watched in INPUTS}
