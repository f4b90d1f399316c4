"""What the server grants to strangers (nothing), to slow and dead peers (little), and to one robot too many."""

from __future__ import annotations

import threading

import pytest

from vlm_qsft.errors import InvalidSetting, PolicyServerError
from vlm_qsft.remote import Credentials
from vlm_qsft.remote.message import Message, pack
from vlm_qsft.remote.server_settings import ServerSettings

from .rigs import INSTRUCTIONS, TOKEN, RawConnection, client, frame, hello, messages, see, serving, wait_until

PROOF = Credentials(TOKEN).proof
STRANGERS = {
    "wrong proof": b"x" * 32,
    "wrong proof and hello": b"x" * 32 + frame(hello()),
    "hello without proof": frame(hello()) * 8,
    "the token itself": TOKEN,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "health": frame(Message("health", {"sequence": "1"})) * 8,
    "almost": PROOF[:-1] + bytes([PROOF[-1] ^ 1]) + frame(hello()),
    "zeros": b"\0" * 4096,
}


@pytest.mark.parametrize("sent", STRANGERS.values(), ids=STRANGERS.keys())
def test_who_has_no_token_gets_not_one_byte(server, sent):
    with RawConnection(server.address) as stranger:
        stranger.send(sent)
        assert stranger.rest() == b""


def test_who_says_nothing_gets_nothing_and_is_sent_away(checkpoint):
    with serving(checkpoint, message_timeout_s=0.2) as server, RawConnection(server.address) as silent:
        assert silent.rest() == b""
        wait_until(lambda: server.health.strangers == 0)


@pytest.mark.parametrize("said_before", ["nothing", "proof", "hello"])
def test_who_drips_one_byte_after_the_other_is_sent_away(checkpoint, said_before):
    dripped = b"\0\0\x0f\0" + bytes(1000)  # one frame that never ends; without proof, no proof
    with serving(checkpoint, message_timeout_s=0.3) as server, RawConnection(server.address) as slow:
        if said_before == "proof":
            slow.send(PROOF)
        if said_before == "hello":
            assert slow.greet().kind == "welcome"
        has_left = threading.Event()

        def drip() -> None:
            for byte in dripped:
                if has_left.wait(0.02):
                    return
                slow.send(bytes([byte]))

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        received = slow.rest()
        has_left.set()
        thread.join()
        assert received == b""
        wait_until(lambda: server.health.strangers + server.health.robots == 0)


def test_those_who_only_hold_connections_open_keep_no_robot_out(checkpoint, tmp_path):
    with serving(checkpoint, max_strangers=3, max_connections=1) as server:
        squatters = [RawConnection(server.address) for _ in range(10)]
        with client(server, tmp_path) as remote:
            remote.reset(INSTRUCTIONS[0], seed=0)
            assert remote.act(see()).action.shape == (2, 2)
            assert server.health.strangers <= 3
        for squatter in squatters:
            squatter.socket.close()


def test_one_robot_too_many_is_told_so_and_finds_room_when_another_leaves(checkpoint, tmp_path):
    with serving(checkpoint, max_connections=2) as server:
        first, second = client(server, tmp_path), client(server, tmp_path)
        with pytest.raises(PolicyServerError, match="The server is full: 2 robots are there"):
            client(server, tmp_path)
        first.close()
        wait_until(lambda: server.health.robots == 1)
        third = client(server, tmp_path)
        third.reset(INSTRUCTIONS[0], seed=0)
        assert third.act(see()).value >= 0
        second.close()
        third.close()


def test_a_client_that_dies_in_the_middle_of_a_message_frees_its_place(checkpoint, tmp_path):
    with serving(checkpoint, max_connections=1) as server:
        for half in (b"\0", b"\0\0\1\0", frame(b"a" * 1000)[:500]):
            with RawConnection(server.address) as dying:
                dying.greet()
                dying.send(half)
            wait_until(lambda: server.health.robots == 0)
        with client(server, tmp_path) as remote:
            assert remote.health().robots == 1


def test_a_client_that_takes_no_answers_frees_its_place(checkpoint):
    # The answers repeat the instruction: some thousands fill every buffer between the two.
    asked = (question("reset", number, instruction="the " * 490) for number in range(1, 8001))
    with serving(checkpoint, message_timeout_s=0.5) as server, RawConnection(server.address, buffer=4096) as deaf:
        deaf.greet()
        deaf.send(*asked)
        wait_until(lambda: server.health.robots == 0)


@pytest.mark.parametrize("announced", [2**20 + 1, 2**31, 2**32 - 1])
def test_a_message_that_is_announced_too_large_is_refused_unread(checkpoint, announced):
    with serving(checkpoint, largest_message=2**20) as server, RawConnection(server.address) as peer:
        peer.greet()
        peer.send(announced.to_bytes(4, "big"))
        (refusal,) = messages(peer.rest())
        assert refusal.kind == "refused"
        assert f"{announced} bytes is announced, at most 1048576" in refusal.fields["text"]


def test_a_client_of_another_version_is_told_which(server):
    with RawConnection(server.address) as old:
        old.send(PROOF, frame(hello(protocol=7)))
        (refusal,) = messages(old.rest())
        assert refusal.kind == "refused"
        assert "version 7 of the wire format, this server version 1" in refusal.fields["text"]


def question(kind: str, number: int | str, **fields: str) -> bytes:
    return frame(Message(kind, {"sequence": str(number), **fields}))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([frame(hello())], "'hello' are not known"),
        ([question("shutdown", 1)], "'shutdown' are not known"),
        ([question("health", 2)], "Question 2 follows on question 0"),
        ([question("health", 1), question("health", 1)], "Question 1 follows on question 1"),
        ([question("health", 1), question("health", 2), question("health", 1)], "Question 1 follows on question 2"),
        ([question("health", -1)], "expected a whole number"),
        ([question("reset", 1)], "lacks the field 'instruction'"),
        ([question("reset", 1, instruction="a" * 2001)], "2001 characters, at most 2000"),
        ([question("reset", 1, instruction="pick", seed="-3")], "expected a whole number"),
        ([question("act", 1, cameras='["../../etc/passwd"]', encoding="raw")], "cameras that the policy does not have"),
        ([question("act", 1, cameras="[]", encoding="pickle")], "valid: jpeg, raw"),
        ([question("act", 1, cameras="[]", encoding="raw")], "come in 0 arrays"),
    ],
)
def test_what_no_client_says_ends_the_connection_with_the_reason(server, said, reason):
    with RawConnection(server.address) as peer:
        assert peer.greet().kind == "welcome"
        peer.send(*said)
        *answers, refusal = messages(peer.rest())
        assert [answer.kind for answer in answers] == ["health"] * (len(said) - 1)
        assert refusal.kind == "refused"
        assert reason in refusal.fields["text"]


def test_questions_in_a_row_are_answered_one_by_one_in_their_order(server):
    with RawConnection(server.address) as peer:
        peer.greet()
        peer.send(*(question("health", number) for number in range(1, 51)))
        assert [peer.receive().fields["sequence"] for _ in range(50)] == [str(number) for number in range(1, 51)]


def test_a_limit_that_lets_no_observation_through_is_refused_at_the_start(checkpoint):
    with pytest.raises(InvalidSetting, match=r"allow at least 0\.1 MB"), serving(checkpoint, largest_message=1000):
        pass


@pytest.mark.parametrize(
    "wrong", [{"max_batch": 0}, {"max_connections": 0}, {"batch_window_s": 2.0}, {"message_timeout_s": float("nan")}]
)
def test_limits_outside_their_range_are_refused(wrong):
    with pytest.raises(InvalidSetting):
        ServerSettings(**wrong)


def test_a_port_in_use_is_said_in_one_line(checkpoint, server):
    with (
        pytest.raises(InvalidSetting, match="another program listens there"),
        serving(checkpoint, port=server.address.port),
    ):
        pass


def test_an_address_of_another_machine_is_said_in_one_line(checkpoint):
    with (
        pytest.raises(InvalidSetting, match="this machine does not have that address"),
        serving(checkpoint, host="192.0.2.1"),
    ):
        pass


def test_closing_ends_robots_and_strangers_at_once(checkpoint, tmp_path):
    with serving(checkpoint) as server:
        remote = client(server, tmp_path)
        stranger = RawConnection(server.address)
        wait_until(lambda: server.health.strangers == 1)
    assert (server.health.robots, server.health.strangers) == (0, 0)
    assert stranger.rest() == b""
    stranger.socket.close()
    with pytest.raises(PolicyServerError, match="it is gone"):
        remote.health()


def test_the_report_names_who_came_and_why_one_was_refused_and_never_the_token(checkpoint, tmp_path):
    lines: list[str] = []
    with serving(checkpoint, report=lines.append) as server:
        with client(server, tmp_path):
            wait_until(lambda: any(line.endswith("connected") for line in lines))
        for _ in range(5):
            with RawConnection(server.address) as stranger:
                stranger.send(b"x" * 32)
                stranger.rest()
        with RawConnection(server.address) as peer:
            peer.greet()
            peer.send(frame(pack(Message("a\nb", {"sequence": "1"}))))
            peer.rest()
        wait_until(lambda: server.health.robots == 0 and len(lines) >= 5)
    assert sum("without the token" in line for line in lines) == 1
    assert any("refused: Messages of the kind" in line for line in lines)
    assert not any("\n" in line or TOKEN.decode() in line for line in lines)
