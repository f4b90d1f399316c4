"""10,000 malformed and hostile messages: the server stays, grows by nothing, runs nothing, and answers as before."""

from __future__ import annotations

import gc
import os
import pickle
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from vlm_qsft.images import encode_jpeg
from vlm_qsft.remote import Credentials
from vlm_qsft.remote.description import PolicyDescription, read_welcome
from vlm_qsft.remote.message import Message
from vlm_qsft.remote.observation_message import pack_observation
from vlm_qsft.remote.server import PolicyServer

from .rigs import INSTRUCTIONS, TOKEN, RawConnection, client, frame, hello, messages, see, serving, wait_until

PROOF = Credentials(TOKEN).proof
COUNT = int(os.environ.get("QSFT_HOSTILE_MESSAGES", "10000"))
WARM_UP = 500
"""Messages after which threads, caches and the allocator have what they keep."""
LARGEST_GROWTH = 16 * 1024**2
"""Bytes; a leak of 2 kB a message would be more. A message has up to some 3 kB."""
KINDS = {"welcome", "refused", "ready", "decision", "health", "error"}
FORBIDDEN_EVENTS = (
    "exec",
    "compile",
    "import",
    "open",
    "os.system",
    "os.exec",
    "subprocess.Popen",
    "pickle.find_class",
)


class Canary:
    """Pickled, it would write a file wherever it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


def act(description: PolicyDescription, number: int, **changes: str) -> Message:
    message = pack_observation(see(number), description, "raw")
    return Message("act", {**message.fields, "sequence": str(number), **changes}, message.arrays)


def with_arrays(message: Message, **arrays: np.ndarray) -> Message:
    return Message(message.kind, message.fields, {**message.arrays, **arrays})


def jpeg_of_declared_size(height: int, width: int) -> np.ndarray:
    """Return a small JPEG whose header declares another size."""
    content = bytearray(encode_jpeg(np.zeros((16, 16, 3), np.uint8)))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return np.frombuffer(bytes(content), np.uint8)


def directed(description: PolicyDescription, canary: Path) -> list[bytes]:
    """Return what somebody with the token would try, as bytes that follow the greeting."""
    good = act(description, 1)
    reset = Message("reset", {"sequence": "1", "instruction": INSTRUCTIONS[0]})
    pickled = pickle.dumps(Canary(canary))
    jpegs = [jpeg_of_declared_size(65_500, 65_500), jpeg_of_declared_size(16, 16)[:60], np.zeros(0, np.uint8)]
    return [
        *(length.to_bytes(4, "big") for length in (0, 7, 2**24, 2**31, 2**32 - 1)),
        frame(pickled),
        frame(len(pickled).to_bytes(8, "little") + pickled),
        frame(b"[" * 50_000),
        frame((50_000).to_bytes(8, "little") + b"[" * 50_000),
        frame((60_000).to_bytes(8, "little") + b'{"a":' * 12_000),
        frame(Message("reset", {"sequence": "1", "instruction": pickled.hex(), "seed": "99999999999999999999"})),
        frame(Message("reset", {"sequence": "1", "instruction": "\0" * 1999})),
        frame(Message("reset", {"sequence": "1", "instruction": "{{7*7}} ${jndi:ldap://x} ../../etc/passwd %n%n"})),
        *(
            frame(Message("act", {**good.fields, "sequence": number}, good.arrays))
            for number in ("-1", "0", "2", "1e3")
        ),
        frame(Message("__reduce__", {"sequence": "1"})),
        *(
            frame(Message("act", {**good.fields, "cameras": cameras}, good.arrays))
            for cameras in (
                '["../../../tmp/x", "/etc/passwd"]',
                '["front", "front"]',
                "[" * 5000,
                '{"front": 1}',
                "[[]]",
            )
        ),
        frame(with_arrays(good, state=np.full(3, np.nan, np.float32))),
        frame(with_arrays(good, state=np.full(3, np.inf, np.float32))),
        frame(with_arrays(good, state=np.zeros(100_000, np.float32))),
        frame(with_arrays(good, state=np.zeros(3, np.float64))),
        frame(with_arrays(good, picture0=np.zeros((16, 16), np.uint8))),
        frame(with_arrays(good, picture0=np.zeros((0, 16, 3), np.uint8))),
        frame(with_arrays(good, picture0=np.zeros((16, 16, 3), np.int64))),
        *(frame(with_arrays(act(description, 1, encoding="jpeg"), picture0=jpeg, picture1=jpeg)) for jpeg in jpegs),
        frame(Message("act", good.fields, {f"picture{number}": np.zeros(1, np.uint8) for number in range(500)})),
        frame(good)[:-10],
        frame(reset) + frame(good) + frame(good),
        frame(reset) + frame(reset),
        frame(reset) * 20,
        frame(hello()) * 20,
    ]


def mutated(words: list[bytes], generator: random.Random) -> bytes:
    """Return a valid conversation, damaged in a way that seeds decide."""
    damaged = bytearray(generator.choice(words))
    for _ in range(generator.choice((1, 1, 2, 8))):
        way, place = generator.randrange(6), generator.randrange(len(damaged))
        if way == 0:
            damaged[place] = generator.randrange(256)
        elif way == 1:
            damaged[place] ^= 1 << generator.randrange(8)
        elif way == 2:
            del damaged[place : place + generator.choice((1, 4, 100))]
        elif way == 3:
            damaged[place:place] = generator.randbytes(generator.choice((1, 4, 100)))
        elif way == 4:
            number = generator.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**64 - 1))
            damaged[place : place + 8] = number.to_bytes(8, generator.choice(("big", "little")))
        else:
            del damaged[place:]
        if not damaged:
            return b""
    return bytes(damaged)


@contextmanager
def forbidden_events_of_other_threads() -> Iterator[list[str]]:
    """Collect what the server's threads run, import or open; the interpreter reports it before it happens."""
    seen: list[str] = []
    is_on = threading.Event()
    own = threading.get_ident()

    def note(event: str, arguments: tuple) -> None:
        if is_on.is_set() and event in FORBIDDEN_EVENTS and threading.get_ident() != own:
            seen.append(f"{event} {arguments!r}"[:200])

    sys.addaudithook(note)  # for the rest of the process; `is_on` ends its work
    is_on.set()
    try:
        yield seen
    finally:
        is_on.clear()


def attack(server: PolicyServer, said: bytes, *, has_proof: bool, leaves: bool) -> bytes:
    with RawConnection(server.address) as hostile:
        hostile.send(PROOF if has_proof else b"", said)
        if leaves:
            return b""
        hostile.end_sending()
        return hostile.rest()


def resources() -> tuple[int, int, int]:
    """Return resident bytes, open files and threads of this process, which holds the server."""
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds(), process.num_threads()


@pytest.mark.timeout(600)
def test_ten_thousand_hostile_messages_do_no_harm(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "canary"
    generator = random.Random(0)
    with serving(checkpoint, max_connections=64) as server:
        with RawConnection(server.address) as peer:
            description = read_welcome(peer.greet())
        reset = Message("reset", {"sequence": "1", "instruction": INSTRUCTIONS[0], "seed": "0"})
        words = [
            frame(hello()),
            frame(hello()) + frame(Message("health", {"sequence": "1"})),
            frame(hello()) + frame(reset),
            frame(hello()) + frame(reset) + frame(act(description, 2)),
        ]
        named = [frame(hello()) + said for said in directed(description, canary)]
        files = sorted(tmp_path.rglob("*"))
        with client(server, tmp_path) as robot:
            robot.reset(INSTRUCTIONS[0], seed=0)
            expected = robot.act(see()).probabilities.tobytes()
        before = resources()
        with forbidden_events_of_other_threads() as events:
            for number in range(COUNT):
                if number == WARM_UP:
                    wait_until(lambda: server.health.robots + server.health.strangers == 0)
                    before = resources()
                has_proof = number % 5 != 0
                said = named[number % len(named)] if number % 4 == 1 else mutated(words, generator)
                received = attack(server, said, has_proof=has_proof, leaves=number % 7 == 3)
                if has_proof:
                    assert all(m.kind in KINDS for m in messages(received)), received[:200]
                else:
                    assert received == b""
            wait_until(lambda: server.health.robots + server.health.strangers == 0)
        after = resources()
        growth = [now - then for now, then in zip(after, before, strict=True)]
        print(f"{COUNT} messages: {growth[0]} bytes, {growth[1]} open files, {growth[2]} threads more; {server.health}")
        assert events == []
        assert not canary.exists()
        assert sorted(tmp_path.rglob("*")) == [*files, tmp_path / "token"]
        assert growth[0] < LARGEST_GROWTH
        assert growth[1] <= 2
        assert growth[2] <= 2
        assert server.health.refused > COUNT / 4
        assert server.health.wrong_proofs > 0
        with client(server, tmp_path) as robot:
            robot.reset(INSTRUCTIONS[0], seed=0)
            assert robot.act(see()).probabilities.tobytes() == expected
