"""`RemotePolicy`: a policy server behind the interface of a local policy."""

from __future__ import annotations

import math
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Float

from vlm_qsft.errors import InvalidSetting, MessageError, PolicyServerError, UnknownName
from vlm_qsft.policy.interface import PolicyInterface
from vlm_qsft.remote.address import ServerAddress, refuse_open_wire
from vlm_qsft.remote.connection import ServerConnection
from vlm_qsft.remote.credentials import client_tls, read_credentials
from vlm_qsft.remote.decision_message import read_decision
from vlm_qsft.remote.description import PolicyDescription
from vlm_qsft.remote.health import ServerHealth, read_health
from vlm_qsft.remote.message import MAX_INTEGER
from vlm_qsft.remote.observation_message import PictureEncoding, pack_observation
from vlm_qsft.remote.protocol import DECISION, HEALTH, LONGEST_INSTRUCTION, READY, RESET
from vlm_qsft.types import Decision, Observation

ENCODINGS: tuple[PictureEncoding, ...] = ("raw", "jpeg")


@dataclass(frozen=True)
class RemoteSettings:
    """How a client asks.

    Attributes:
        address: of the server.
        token_file: the same content as the server's; readable by its owner alone.
        tls_ca: PEM file with the certificates to trust, the server's own or its issuer's; None: no TLS.
        without_tls: allow an address that others can listen to without TLS.
        pictures: "raw" decides as a local policy does, bit for bit; "jpeg" changes pixels a little, and with them
            decisions, and needs about a tenth of the network.
        timeout_s: longest wait for a decision, seconds. A controller holds after it: choose it shorter than the
            controller's own decision_timeout_s, so that the reason names the server.
        connect_timeout_s: longest wait for a connection with its greeting, seconds.
    """

    address: ServerAddress
    token_file: Path
    tls_ca: Path | None = None
    without_tls: bool = False
    pictures: PictureEncoding = "raw"
    timeout_s: float = 0.8
    connect_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        """Raises UnknownName, InvalidSetting: no such encoding, a time that is none, a wire that is open to others."""
        if self.pictures not in ENCODINGS:
            raise UnknownName("picture encoding", self.pictures, ENCODINGS)
        for name in ("timeout_s", "connect_timeout_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InvalidSetting(f"{name} is {getattr(self, name)}; expected a positive number of seconds.")
        refuse_open_wire(self.address, has_tls=self.tls_ca is not None, is_allowed=self.without_tls)


class RemotePolicy:
    """Decides by asking a policy server; implements `vlm_qsft.types.Policy` and `DescribedPolicy`.

    Whatever goes wrong with the server is a PolicyServerError, after which `act` raises until `reset` has begun a new
    episode on a new connection: nothing of an episode is ever guessed. Used by one thread at a time.
    """

    def __init__(self, settings: RemoteSettings) -> None:
        """Connect, and read what the server's policy sees and does.

        Raises:
            InvalidSetting: the token file or the certificates cannot be used.
            PolicyServerError: the server is gone, late, full, of another version, or does not take the token.
        """
        self._settings = settings
        self._credentials = read_credentials(settings.token_file)
        self._tls: ssl.SSLContext | None = None if settings.tls_ca is None else client_tls(settings.tls_ca)
        self._connection = self._connect()
        self._has_episode = False
        self.description: PolicyDescription = self._connection.description

    @property
    def interface(self) -> PolicyInterface:
        """What the policy sees and does, as the server's checkpoint declares it."""
        return self.description.interface

    @property
    def bin_centers(self) -> Float[np.ndarray, "action_dim n_bins"]:
        """What every action bin decodes to, physical units."""
        return self.description.bin_centers

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        """Begin an episode, on a new connection where the last one was lost.

        Raises:
            UnknownName, ShapeMismatch: the model has no words for the instruction, or no room for it.
            InvalidSetting: an instruction that is no text, or longer than any; a seed that is none.
            PolicyServerError: as at the beginning; also where the server has another policy by now.
        """
        self._has_episode = False
        if len(instruction) > LONGEST_INSTRUCTION or not _is_text(instruction):
            raise InvalidSetting(f"An instruction is a text of at most {LONGEST_INSTRUCTION} characters.")
        if seed is not None and not 0 <= seed <= MAX_INTEGER:
            raise InvalidSetting(f"The seed is {seed}; expected 0 to {MAX_INTEGER}.")
        if not self._connection.is_open:
            self._connection = self._connect()
            if not self._connection.description.is_same_policy(self.description):
                self._connection.close()
                raise PolicyServerError(
                    f"Policy server {self._settings.address}: it serves another policy than before. The robot was not "
                    "checked against it: begin anew (a controller: cleanup and configure)."
                )
        fields = {"instruction": instruction} | ({} if seed is None else {"seed": str(seed)})
        self._connection.ask(RESET, fields, {}, expected=READY, timeout_s=self._settings.timeout_s)
        self._has_episode = True

    def act(self, observation: Observation) -> Decision:
        """Decide from one observation; `latency_s` of the decision counts from here, with the network in it.

        Raises:
            InvalidSetting: there was no `reset`.
            UnknownName, ShapeMismatch, NotFinite: the observation does not fit the checkpoint.
            PolicyServerError: the server is gone, late, or its answer is none; `reset` begins again.
        """
        begin_s = time.perf_counter()
        if not self._has_episode:
            raise InvalidSetting("The policy has no instruction: call reset(instruction) before act(observation).")
        question = pack_observation(observation, self.description, self._settings.pictures)
        answer = self._connection.ask(
            question.kind,
            question.fields,
            question.arrays,
            expected=DECISION,
            timeout_s=self._settings.timeout_s,
        )
        try:
            return read_decision(answer, self.description, latency_s=time.perf_counter() - begin_s)
        except MessageError as error:
            raise self._connection.give_up(error) from error

    def health(self) -> ServerHealth:
        """Return what the server has done so far. Raises PolicyServerError."""
        answer = self._connection.ask(HEALTH, {}, {}, expected=HEALTH, timeout_s=self._settings.timeout_s)
        try:
            return read_health(answer)
        except MessageError as error:
            raise self._connection.give_up(error) from error

    def close(self) -> None:
        """Leave the server."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _connect(self) -> ServerConnection:
        return ServerConnection(
            self._settings.address,
            self._credentials,
            tls=self._tls,
            timeout_s=self._settings.connect_timeout_s,
            patience_s=self._settings.timeout_s,
        )


def _is_text(word: str) -> bool:
    """Tell whether a text has no half characters, which no encoding can carry."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
