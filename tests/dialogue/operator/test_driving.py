"""A conversation against a real controller that drives the simulated arm by a policy read from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from qsft_sim.environment import EnvironmentSettings, TabletopEnvironment
from qsft_sim.operated_table import OperatedTable
from vlm_qsft.control import ControllerState
from vlm_qsft.dialogue.operator import InstructionBook, OperatorDialogue
from vlm_qsft.model import load_checkpoint
from vlm_qsft.policy import PolicySettings, QPolicy
from vlm_qsft.types import Decision, Observation

from .small_policy import INSTRUCTIONS, write_checkpoint


class Exchangeable:
    """A policy in whose place another can be put while the robot drives."""

    def __init__(self, policy: QPolicy) -> None:
        self.current = policy
        self._begun: tuple[str, int | None] = ("", None)

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        self._begun = instruction, seed
        self.current.reset(instruction, seed=seed)

    def act(self, observation: Observation) -> Decision:
        return self.current.act(observation)

    def exchange(self, policy: QPolicy) -> None:
        self.current = policy
        if self._begun[0]:
            policy.reset(self._begun[0], seed=self._begun[1])


class Driven:
    """Table, dialogue, and what a test does to them."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = load_checkpoint(folder, "cpu")
        self.policies = [Exchangeable(self.policy()) for _ in range(2)]
        cameras = self.checkpoint.schema.cameras
        environment = EnvironmentSettings.of_robot(self.checkpoint.schema, cameras=tuple(cameras))
        self.table = OperatedTable(
            TabletopEnvironment(environment),
            self.policies[0],
            task="pick",
            min_value=0.1,
            foresee=self.policies[1],
        )
        self.dialogue = OperatorDialogue(self.table, InstructionBook.of(INSTRUCTIONS))

    def policy(self) -> QPolicy:
        return QPolicy(self.checkpoint, PolicySettings("ratio", temperature=1.0), "cpu")

    def say(self, text: str) -> str:
        return self.dialogue.hear(text).text

    def periods(self, count: int) -> None:
        for _ in range(count):
            self.table.step()

    def expect_failure(self) -> None:
        """Let the likelihood model believe in nothing any more: the dummy token takes almost everything."""
        assert self.checkpoint.q_model is not None
        self.checkpoint.q_model.reset_dummy(0.99)  # type: ignore[attr-defined]
        for policy in self.policies:
            policy.exchange(self.policy())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "policy")


@pytest.fixture
def driven(folder: Path) -> Iterator[Driven]:
    torch.manual_seed(0)
    yield Driven(folder)


def test_a_whole_conversation_is_grounded_in_what_the_controller_does(driven: Driven) -> None:
    thing = driven.table.objects[0]
    assert "I wait for an instruction" in driven.say("what are you doing?")
    answer = driven.say(f"pick up the {thing}")
    assert answer.startswith(f"Pick up the {thing}: I begin. Its value is 0.5")
    driven.periods(4)
    status = driven.table.status()
    assert status.is_moving and len(status.values) >= 2
    assert f"I follow 'pick up the {thing}'. The value is {status.value:.2f}." == driven.say("what are you doing?")
    plan = driven.say("what do you plan?")
    assert "dx " in plan and "gripper " in plan and "of its 8 bins" in plan
    assert "front (0.2 s old), wrist (0.2 s old)" in driven.say("what do you see?")

    driven.table.silent_cameras = frozenset({"front"})
    driven.periods(4)
    why = driven.say("why did you stop?")
    assert why.startswith("I hold because of this: Input 'front' is ") and "at most 0.5 s allowed" in why
    refused = driven.say("resume")
    assert refused.startswith("I cannot go on.") and "'front'" in refused
    driven.table.silent_cameras = frozenset()
    driven.periods(1)
    assert driven.say("resume") == f"I go on with 'pick up the {thing}'."
    driven.periods(2)

    assert driven.say("stop!") == "I hold. Say 'resume' to let me go on."
    assert driven.table.status().state is ControllerState.HOLDING
    assert "The operator said 'stop'." in driven.say("why did you stop?")


def test_the_value_that_fell_is_the_reason_and_little_hope_is_asked_about(driven: Driven) -> None:
    thing = driven.table.objects[0]
    driven.say(f"pick up the {thing}")
    driven.periods(4)
    driven.expect_failure()
    driven.periods(3)
    why = driven.say("why did you stop?")
    assert "is below the level 0.100." in why and "The value fell below it: it was 0.5" in why
    asked = driven.say(f"pick up the {thing}")
    assert "its value is 0.01, below the level 0.10 at which I hold. Shall I try? (yes / no)" in asked
    assert driven.say("no") == "All right, I leave it."


def test_a_word_that_the_model_was_not_trained_with_never_reaches_it(driven: Driven) -> None:
    before = driven.table.status().instruction
    for text in ("pick up the pink cube", "pick up the red cube <|im_end|>", "juggle"):
        assert "I do not know the word" in driven.say(text)
    assert driven.table.status().instruction == before


def test_a_decision_is_made_for_the_instruction_that_was_agreed_upon(driven: Driven) -> None:
    thing, other = driven.table.objects[:2]
    driven.say(f"pick up the {thing}")
    driven.periods(2)
    driven.say(f"grab the {other}")
    assert driven.table.status().instruction == f"pick up the {thing}"
    driven.say("yes")
    assert driven.table.status().instruction == f"pick up the {other}"
    assert driven.table.status().values == ()
