"""The controller node with its policy on a server: what goes wrong there is a hold, and resume alone ends it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rigs import Rig, rig_in

from vlm_qsft.policy import PolicyInterface
from vlm_qsft.remote import Credentials, ServerAddress, session
from vlm_qsft.remote.description import PolicyDescription
from vlm_qsft.remote.server import PolicyServer
from vlm_qsft.types import Decision

pytestmark = pytest.mark.usefixtures("ros")

TOKEN = b"a token of the tests, not a secret"
CENTERS = np.array([[-1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
DESCRIPTION = PolicyDescription(
    identity="slide",
    settings={},
    interface=PolicyInterface(("front", "wrist"), ("slide", "turn", "gripper"), ("dx", "dturn", "gripper"), 0.1),
    fps=Fraction(10),
    recorded_sizes=((24, 32), (24, 32)),
    picture_size=(24, 32),
    chunk=1,
    bin_centers=CENTERS,
    largest_message=2**20,
)


class SlideDecider:
    """Moves the slide by 2 cm and back, five decisions each way; waits where it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.may_decide = threading.Event()
        self.may_decide.set()

    def begin(self, instruction, *, seed):
        return instruction

    def decide_together(self, questions):
        assert self.may_decide.wait(200)
        assert all(question.observation.images["wrist"].shape == (24, 32, 3) for question in questions)
        return [self._decision() for _ in questions]

    def _decision(self) -> Decision:
        bins = np.array([[1 if self.count // 5 % 2 == 0 else 0, 0, 1]])
        self.count += 1
        action = CENTERS[np.arange(3), bins].astype(np.float32)
        scores = np.full((1, 3, 2), 0.5, np.float32)
        return Decision(action, bins, scores, scores, 0.75, 0.7, 0.0)


@contextmanager
def serving(decider: SlideDecider | None = None, *, port: int = 0, token: bytes = TOKEN) -> Iterator[PolicyServer]:
    address, credentials = ServerAddress("127.0.0.1", port), Credentials(token)
    with PolicyServer(decider or SlideDecider(), DESCRIPTION, address=address, credentials=credentials) as server:
        yield server


def driven_by(server_port: int, folder: Path, *, timeout_s: float = 1.5):
    """Return a rig whose controller asks the server."""
    token_file = folder / "token"
    token_file.write_bytes(TOKEN)
    token_file.chmod(0o600)
    parameters = {
        "policy": "''",
        "policy_server.address": f"127.0.0.1:{server_port}",
        "policy_server.token_file": token_file,
        "policy_server.timeout_s": timeout_s,
    }
    return rig_in(folder, *(word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")))


def holds(rig: Rig, reason: str) -> None:
    """Check that the arm holds for this reason, rests, and moves no further by itself."""
    # What was said before a call to resume may still be there: wait for the reason too.
    told = rig.controller.wait_until(
        lambda said: said.get("state") == "holding" and reason in said.get("reason", ""), f"a hold because {reason}"
    )
    assert told["fault"] == "policy_error" and "PolicyServerError" in told["reason"]
    rest = rig.wait_for_rest()
    count = len(rig.arm.received)
    rig.controller.wait(lambda: len(rig.arm.received) > count + 20, "commands while it holds")
    assert rig.controller.last["state"] == "holding"
    assert rig.arm.position("slide") == pytest.approx(rest, abs=1e-6)


def resumes(rig: Rig) -> None:
    rig.controller.wait(lambda: rig.controller.trigger("resume").success, "resume")
    rig.wait_for_motion()


def test_a_server_that_goes_and_comes_back_is_a_hold_until_resume(tmp_path):
    with serving() as server:
        port = server.address.port
        with driven_by(port, tmp_path) as rig:
            rig.moving()
            server.close()
            holds(rig, "it is gone")
            assert rig.controller.trigger("resume").success  # the inputs are well; the next question finds no server
            holds(rig, "cannot be reached")
            with serving(port=port):
                holds(rig, "cannot be reached")
                resumes(rig)


def test_a_server_that_thinks_for_too_long_is_a_hold_until_resume(tmp_path):
    decider = SlideDecider()
    with serving(decider) as server, driven_by(server.address.port, tmp_path, timeout_s=0.5) as rig:
        rig.moving()
        decider.may_decide.clear()
        holds(rig, "no answer within 0.5 s")
        decider.may_decide.set()
        resumes(rig)


def garbage(listener: socket.socket) -> None:
    """Answer everybody with what is no message."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            connection.sendall(b"\0\0\0\x08garbage!")


def test_a_server_that_answers_garbage_is_a_hold_until_resume(tmp_path):
    with serving() as server:
        port = server.address.port
        with driven_by(port, tmp_path) as rig:
            rig.moving()
            server.close()
            with socket.create_server(("127.0.0.1", port)) as listener:
                threading.Thread(target=garbage, args=(listener,), daemon=True).start()
                holds(rig, "it is gone")
                assert rig.controller.trigger("resume").success
                rig.controller.wait(lambda: "is none" in rig.controller.last["reason"], "the answer that is none")
                holds(rig, "its answer is none: 8 bytes are no message")
                listener.shutdown(socket.SHUT_RDWR)
            with serving(port=port):
                resumes(rig)


def test_a_server_of_another_version_or_with_another_token_is_a_hold_until_resume(tmp_path, monkeypatch):
    with serving() as server:
        port = server.address.port
        with driven_by(port, tmp_path) as rig:
            rig.moving()
            server.close()
            holds(rig, "it is gone")
            with serving(port=port, token=b"another token, as long as that"):
                assert rig.controller.trigger("resume").success
                rig.controller.wait(lambda: "the token is not" in rig.controller.last["reason"], "the wrong token")
                holds(rig, "the token is not the server's")
            monkeypatch.setattr(session, "PROTOCOL", 2)
            with serving(port=port):
                assert rig.controller.trigger("resume").success
                rig.controller.wait(lambda: "version 1" in rig.controller.last["reason"], "the wrong version")
                holds(rig, "The client speaks version 1 of the wire format, this server version 2")
            monkeypatch.undo()
            with serving(port=port):
                resumes(rig)


def test_a_controller_whose_server_does_not_answer_is_not_configured(tmp_path):
    with serving() as server:
        pass
    with driven_by(server.address.port, tmp_path) as rig:
        assert not rig.controller.change_state(Transition.TRANSITION_CONFIGURE)
        assert "cannot be reached" in rig.controller.log
