"""A policy on a server in the loop: the same commands as with a local one, and what fails there holds the arm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vlm_qsft.control import ControllerState, FaultKind
from vlm_qsft.model import load_checkpoint
from vlm_qsft.policy import PolicySettings
from vlm_qsft.policy.decider import Decider
from vlm_qsft.remote import Credentials, RemotePolicy, RemoteSettings, ServerAddress
from vlm_qsft.remote.description import describe
from vlm_qsft.remote.server import PolicyServer

from .test_policy_in_the_loop import INSTRUCTION, Robot, folder

__all__ = ["folder"]  # the fixture

TOKEN = b"a token of the tests, not a secret"
PATIENT_S = 60.0


def serve(folder: Path, *, port: int = 0) -> PolicyServer:
    decider = Decider(load_checkpoint(folder, "cpu"), PolicySettings("ratio", temperature=1.0), "cpu")
    description = describe(decider, largest_message=2**20)
    return PolicyServer(decider, description, address=ServerAddress("127.0.0.1", port), credentials=Credentials(TOKEN))


class RemoteRobot(Robot):
    """The robot that asks a server."""

    def __init__(self, folder: Path, server: PolicyServer, token_file: Path) -> None:
        super().__init__(folder)
        token_file.write_bytes(TOKEN)
        token_file.chmod(0o600)
        self.policy = RemotePolicy(
            RemoteSettings(server.address, token_file, timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
        )
        self.policy.reset(INSTRUCTION, seed=0)


def test_the_arm_does_with_a_policy_server_what_it_does_with_the_policy(folder: Path, tmp_path: Path) -> None:
    local = Robot(folder)
    with serve(folder) as server:
        remote = RemoteRobot(folder, server, tmp_path / "token")
        ours, theirs = local.steps(60), remote.steps(60)
    assert len(local.decisions) == len(remote.decisions) >= 9
    for one, other in zip(ours, theirs, strict=True):
        assert one.kind == other.kind == "move"
        assert one.target.tobytes() == other.target.tobytes()
        assert one.velocity.tobytes() == other.velocity.tobytes()


def test_a_server_that_is_gone_holds_the_arm_in_the_period_of_the_question_and_until_resume(
    folder: Path, tmp_path: Path
) -> None:
    with serve(folder) as server:
        robot = RemoteRobot(folder, server, tmp_path / "token")
        robot.steps(5)
    asked = len(robot.decisions)
    held = robot.step()
    while held.kind == "move":  # what was decided before is carried out
        assert robot.controller.state is ControllerState.ACTIVE
        held = robot.step()
    assert len(robot.decisions) == asked
    assert held.reason is not None and held.reason.kind is FaultKind.POLICY_ERROR
    assert "PolicyServerError: Policy server 127.0.0.1:" in held.reason.text and "it is gone" in held.reason.text
    with serve(folder, port=server.address.port):
        resting = robot.steps(20)[-1]
        assert resting.kind == "hold" and not np.any(resting.velocity)
        robot.policy.reset(INSTRUCTION, seed=1)
        assert robot.step().kind == "hold"
        robot.controller.resume(robot.now_s)
        assert robot.step().kind == "move"
        robot.steps(10)
        assert len(robot.decisions) > asked


def test_an_observation_that_the_policy_refuses_holds_with_the_policys_own_reason(folder: Path, tmp_path: Path) -> None:
    with serve(folder) as server:
        robot = RemoteRobot(folder, server, tmp_path / "token")
        robot.cameras = ("front",)
        held = robot.step()
        assert held.reason is not None
        assert (held.kind, held.reason.kind) == ("hold", FaultKind.POLICY_ERROR)
        assert "UnknownName: Camera 'wrist' is not known in this observation. Valid: front." in held.reason.text
