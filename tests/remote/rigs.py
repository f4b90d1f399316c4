"""A tiny checkpoint, a server of it on this machine, and raw connections that say what no client would say."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.model import Checkpoint, ModelSettings, StateStatistics, build_scorer
from vlm_qsft.policy import PolicySettings
from vlm_qsft.policy.decider import Decider
from vlm_qsft.remote import Credentials, RemotePolicy, RemoteSettings, ServerAddress
from vlm_qsft.remote.description import describe
from vlm_qsft.remote.message import Message, pack, unpack
from vlm_qsft.remote.protocol import HELLO, PROTOCOL
from vlm_qsft.remote.server import PolicyServer
from vlm_qsft.remote.server_settings import ServerSettings
from vlm_qsft.tokens import ActionTokenizer
from vlm_qsft.types import Observation

INSTRUCTIONS = ("pick up the red cube", "move the red cube near the green ball")
TOKEN = b"a token of the tests, not a secret"
SETTINGS = PolicySettings("ratio", temperature=0.7, inverse_temperature=4.0)
SCHEMA = DatasetSchema(
    cameras={"front": (24, 32), "wrist": (20, 20)},
    state_names=("x", "y", "z"),
    action_names=("dx", "dy"),
    fps=Fraction(5),
)
PATIENT_S = 60.0
"""For waits that end by an event; only a test that has failed waits so long."""


def tiny_checkpoint(*, seed: int = 0, schema: DatasetSchema = SCHEMA) -> Checkpoint:
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (100, len(schema.action_names)))
    tokenizer = ActionTokenizer.fit(actions, action_names=schema.action_names, n_bins=8, chunk=2)
    settings = ModelSettings(channels=8, width=32, layers=2, image_size=(16, 16))
    n_states = len(schema.state_names)
    statistics = StateStatistics((0.0,) * n_states, (1.0,) * n_states)
    torch.manual_seed(seed)
    scorers = [build_scorer(settings, schema, tokenizer, INSTRUCTIONS, statistics).eval() for _ in range(2)]
    with torch.no_grad():
        for scorer in scorers:
            scorer.decoder.rows.weight.mul_(6.0)  # type: ignore[union-attr,operator] (far from uniform)
    return Checkpoint(Path("tiny"), scorers[0], scorers[1], tokenizer, schema, {}, f"{seed:064d}")


def see(seed: int = 0, schema: DatasetSchema = SCHEMA) -> Observation:
    generator = np.random.default_rng(seed)
    images = {name: generator.integers(0, 256, (*size, 3), dtype=np.uint8) for name, size in schema.cameras.items()}
    return Observation(images, generator.normal(size=len(schema.state_names)).astype(np.float32))


@contextmanager
def serving(checkpoint: Checkpoint | None = None, **options) -> Iterator[PolicyServer]:
    """Serve a checkpoint; `decider`, `tls`, `report` and `port` go to the server, the rest to its settings."""
    decider = Decider(checkpoint or tiny_checkpoint(), SETTINGS, "cpu")
    own = {name: options.pop(name) for name in ("tls", "report") if name in options}
    address = ServerAddress(options.pop("host", "127.0.0.1"), options.pop("port", 0))
    asked = options.pop("decider", decider)
    settings = ServerSettings(**options)
    description = describe(decider, largest_message=settings.largest_message)
    with PolicyServer(
        asked, description, address=address, credentials=Credentials(TOKEN), settings=settings, **own
    ) as server:
        yield server


def token_file(folder: Path, token: bytes = TOKEN) -> Path:
    path = folder / "token"
    path.write_bytes(token)
    path.chmod(0o600)
    return path


def client(server: PolicyServer, folder: Path, *, token: bytes = TOKEN, **settings: Any) -> RemotePolicy:
    chosen: dict[str, Any] = {"timeout_s": PATIENT_S, "connect_timeout_s": PATIENT_S, **settings}
    return RemotePolicy(RemoteSettings(server.address, token_file(folder, token), **chosen))


class RawConnection:
    """Bytes to a server and back, without any rule."""

    def __init__(self, address: ServerAddress, *, buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(PATIENT_S)
        self.socket.connect((address.host, address.port))

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        """Send; a server that has closed the connection already is no error."""
        with suppress(OSError):
            self.socket.sendall(b"".join(pieces))

    def end_sending(self) -> None:
        """Say that nothing more will come."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """Return all that comes until the server closes the connection."""
        received = b""
        with suppress(ConnectionError):
            while piece := self.socket.recv(65536):
                received += piece
        return received

    def receive(self) -> Message:
        """Return the next message."""
        length = int.from_bytes(self._exactly(4), "big")
        return unpack(self._exactly(length))

    def greet(self) -> Message:
        """Prove the token and say hello."""
        self.send(Credentials(TOKEN).proof, frame(hello()))
        return self.receive()

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            piece = self.socket.recv(count - len(received))
            assert piece, f"the server closed the connection after {received!r}"
            received += piece
        return received


def frame(message: Message | bytes) -> bytes:
    document = message if isinstance(message, bytes) else pack(message)
    return len(document).to_bytes(4, "big") + document


def hello(protocol: int = PROTOCOL) -> Message:
    return Message(HELLO, {"protocol": str(protocol), "library": "test", "patience_ms": "60000"})


def messages(received: bytes) -> Sequence[Message]:
    """Return the whole messages in what a server sent."""
    found = []
    while len(received) >= 4:
        end = 4 + int.from_bytes(received[:4], "big")
        found.append(unpack(received[4:end]))
        received = received[end:]
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""
    end_s = time.monotonic() + PATIENT_S
    while not is_so():
        assert time.monotonic() < end_s, "it never came about"
        time.sleep(0.002)  # between two looks
