"""A policy on a server against the same policy here; and every way in which a server fails its client."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from vlm_qsft.errors import InvalidSetting, NotFinite, PolicyServerError, ShapeMismatch, UnknownName
from vlm_qsft.policy import QPolicy
from vlm_qsft.types import Decision, Observation

from .rigs import INSTRUCTIONS, SETTINGS, client, see, serving, tiny_checkpoint

COMPARED = ("action", "action_bins", "q_values", "probabilities", "value", "entropy")


def bits(decision: Decision) -> list[bytes]:
    return [np.asarray(getattr(decision, name)).tobytes() for name in COMPARED]


def test_decisions_equal_those_of_the_local_policy_bit_for_bit(checkpoint, server, tmp_path):
    local = QPolicy(checkpoint, SETTINGS, "cpu")
    with client(server, tmp_path) as remote:
        for seed, instruction in enumerate(INSTRUCTIONS):
            for policy in (local, remote):
                policy.reset(instruction, seed=seed)
            for step in range(5):
                ours, theirs = local.act(see(step)), remote.act(see(step))
                assert bits(ours) == bits(theirs)
                assert [getattr(theirs, name).dtype for name in COMPARED[:4]] == [
                    getattr(ours, name).dtype for name in COMPARED[:4]
                ]


def test_two_robots_have_an_instruction_and_draws_of_their_own(checkpoint, server, tmp_path):
    expected = []
    for seed in (0, 1):
        local = QPolicy(checkpoint, SETTINGS, "cpu")
        local.reset(INSTRUCTIONS[seed], seed=seed)
        expected.append([bits(local.act(see(step))) for step in range(4)])
    with client(server, tmp_path) as first, client(server, tmp_path) as second:
        first.reset(INSTRUCTIONS[0], seed=0)
        second.reset(INSTRUCTIONS[1], seed=1)
        in_turn = [(bits(first.act(see(step))), bits(second.act(see(step)))) for step in range(4)]
    assert [list(of_one) for of_one in zip(*in_turn, strict=True)] == expected


def test_the_client_says_what_the_servers_checkpoint_sees_and_does(checkpoint, server, tmp_path):
    local = QPolicy(checkpoint, SETTINGS, "cpu")
    with client(server, tmp_path) as remote:
        assert remote.interface == local.interface
        assert remote.interface.cameras == ("front", "wrist")
        assert remote.interface.step_s == 0.2
        assert remote.bin_centers.tobytes() == local.bin_centers.tobytes()
        assert remote.description.identity == checkpoint.identity
        assert remote.description.settings == SETTINGS.to_json()
        assert remote.description.recorded_sizes == ((24, 32), (20, 20))


def test_jpeg_pictures_are_decided_on_and_are_not_the_same_pixels(server, tmp_path):
    smooth = np.add.outer(np.arange(24), np.arange(32))[..., None].repeat(3, -1).astype(np.uint8)
    seen = Observation({"front": smooth, "wrist": smooth[:20, :20]}, np.zeros(3, np.float32))
    decided = []
    for pictures in ("raw", "jpeg"):
        with client(server, tmp_path, pictures=pictures) as remote:
            remote.reset(INSTRUCTIONS[0], seed=0)
            decided.append(remote.act(seen).probabilities)
    assert decided[1] == pytest.approx(decided[0], abs=0.1)
    assert (decided[1] != decided[0]).any()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda seen: replace(seen, images={"front": seen.images["front"]}), UnknownName),
        (lambda seen: replace(seen, state=seen.state[:2]), ShapeMismatch),
        (lambda seen: replace(seen, state=seen.state[None]), ShapeMismatch),
        (lambda seen: replace(seen, state=np.full(3, np.nan, np.float32)), NotFinite),
        (lambda seen: replace(seen, images={**seen.images, "wrist": np.zeros((4, 4), np.uint8)}), ShapeMismatch),
        (lambda seen: replace(seen, images={**seen.images, "wrist": np.zeros((4, 4, 3))}), ShapeMismatch),
    ],
    ids=["no camera", "short state", "square state", "nan", "grey", "float"],
)
def test_a_wrong_observation_raises_what_the_local_policy_raises_and_the_episode_goes_on(
    checkpoint, server, tmp_path, change, kind
):
    local = QPolicy(checkpoint, SETTINGS, "cpu")
    with client(server, tmp_path) as remote:
        for policy in (local, remote):
            policy.reset(INSTRUCTIONS[0], seed=0)
            with pytest.raises(kind) as raised:
                policy.act(change(see()))
            assert type(raised.value) is kind
        assert bits(remote.act(see())) == bits(local.act(see()))


@pytest.mark.parametrize("instruction", ["pick up the purple cube", "", "the " * 40])
def test_an_instruction_that_the_model_cannot_read_is_refused_as_locally(checkpoint, server, tmp_path, instruction):
    local = QPolicy(checkpoint, SETTINGS, "cpu")
    with client(server, tmp_path) as remote:
        raised = []
        for policy in (local, remote):
            with pytest.raises((UnknownName, ShapeMismatch)) as error:
                policy.reset(instruction, seed=0)
            raised.append((type(error.value), str(error.value)))
        assert raised[0] == raised[1]
        with pytest.raises(InvalidSetting, match="no instruction"):
            remote.act(see())
        remote.reset(INSTRUCTIONS[0], seed=0)
        assert remote.act(see()).action.shape == (2, 2)


@pytest.mark.parametrize(
    ("instruction", "seed"), [("a" * 2001, 0), ("pick \ud800", 0), (INSTRUCTIONS[0], -1), (INSTRUCTIONS[0], 2**64)]
)
def test_what_cannot_be_said_on_the_wire_is_refused_before_it_is_sent(server, tmp_path, instruction, seed):
    with client(server, tmp_path) as remote:
        with pytest.raises(InvalidSetting):
            remote.reset(instruction, seed=seed)
        remote.reset(INSTRUCTIONS[0], seed=2**64 - 1)
        assert np.isfinite(remote.act(see()).action).all()


def test_a_wrong_token_is_told_from_other_troubles(server, tmp_path):
    with pytest.raises(PolicyServerError, match="the token is not the server's"):
        client(server, tmp_path, token=b"some other token of sixteen")


def test_nobody_listens_there(checkpoint, tmp_path):
    with serving(checkpoint) as server:
        pass
    with pytest.raises(
        PolicyServerError, match=rf"Policy server 127.0.0.1:{server.address.port}: it cannot be reached"
    ):
        client(server, tmp_path)


def test_after_the_server_is_gone_nothing_is_decided_until_reset_finds_it_again(checkpoint, tmp_path):
    with serving(checkpoint) as server:
        remote = client(server, tmp_path)
        remote.reset(INSTRUCTIONS[0], seed=0)
        before = bits(remote.act(see()))
    with pytest.raises(PolicyServerError, match="it is gone"):
        remote.act(see())
    with pytest.raises(PolicyServerError, match="the connection is lost; reset begins again"):
        remote.act(see())
    with pytest.raises(PolicyServerError, match="cannot be reached"):
        remote.reset(INSTRUCTIONS[0], seed=0)
    with serving(checkpoint, port=server.address.port):
        with pytest.raises(InvalidSetting, match="no instruction"):
            remote.act(see())
        remote.reset(INSTRUCTIONS[0], seed=0)
        assert bits(remote.act(see())) == before
    remote.close()


def test_a_server_that_came_back_with_another_policy_drives_nothing(checkpoint, tmp_path):
    with serving(checkpoint) as server:
        remote = client(server, tmp_path)
        remote.reset(INSTRUCTIONS[0], seed=0)
    with pytest.raises(PolicyServerError):
        remote.act(see())
    with serving(tiny_checkpoint(seed=1), port=server.address.port):
        for _ in range(2):
            with pytest.raises(PolicyServerError, match="serves another policy than before"):
                remote.reset(INSTRUCTIONS[0], seed=0)


class Held:
    """Decides only while it is let; a network that is too slow."""

    def __init__(self, decider) -> None:
        self.decider, self.may_decide, self.began = decider, threading.Event(), threading.Event()

    def begin(self, instruction, *, seed):
        return self.decider.begin(instruction, seed=seed)

    def decide_together(self, questions):
        self.began.set()
        assert self.may_decide.wait(60)
        return self.decider.decide_together(questions)


def test_a_late_server_is_given_up_after_the_time_that_was_set(checkpoint, tmp_path):
    held = Held(QPolicy(checkpoint, SETTINGS, "cpu").decider)
    with serving(checkpoint, decider=held) as server:
        remote = client(server, tmp_path, timeout_s=0.2)
        remote.reset(INSTRUCTIONS[0], seed=0)
        with pytest.raises(PolicyServerError, match=r"no answer within 0\.2 s"):
            remote.act(see())
        held.may_decide.set()
        with pytest.raises(PolicyServerError, match="reset begins again"):
            remote.act(see())  # the late answer is not taken for the answer to this question
    remote.close()


class Broken:
    """A network with a defect, and one that answers too few."""

    def __init__(self, decider) -> None:
        self.decider, self.is_broken = decider, True

    def begin(self, instruction, *, seed):
        return self.decider.begin(instruction, seed=seed)

    def decide_together(self, questions):
        if self.is_broken:
            raise RuntimeError("a defect")
        return self.decider.decide_together(questions)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_in_the_networks_ends_one_connection_and_not_the_server(checkpoint, tmp_path):
    broken = Broken(QPolicy(checkpoint, SETTINGS, "cpu").decider)
    with serving(checkpoint, decider=broken) as server, client(server, tmp_path) as remote:
        remote.reset(INSTRUCTIONS[0], seed=0)
        with pytest.raises(PolicyServerError, match="it is gone"):
            remote.act(see())
        broken.is_broken = False
        remote.reset(INSTRUCTIONS[0], seed=0)
        assert np.isfinite(remote.act(see()).action).all()
