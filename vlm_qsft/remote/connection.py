"""A client's connection to a policy server: questions and answers, in turn."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping

import numpy as np

from vlm_qsft import __version__
from vlm_qsft.errors import MessageError, PolicyServerError
from vlm_qsft.remote.address import ServerAddress
from vlm_qsft.remote.credentials import Credentials
from vlm_qsft.remote.description import PolicyDescription, read_welcome
from vlm_qsft.remote.error_message import read_error, read_refusal
from vlm_qsft.remote.message import Message, pack, unpack
from vlm_qsft.remote.protocol import ERROR, HELLO, PROTOCOL, REFUSED, WELCOME
from vlm_qsft.remote.stream import Stream

LARGEST_ANSWER = 256 * 1024**2
"""Bytes; a decision of 16 million numbers, the most a description may promise, has half of it."""
_NO_WORD = (
    "it closed the connection without a word: the token is not the server's, only one of the two uses TLS, or it is no "
    "policy server"
)


class ServerConnection:
    """Open until anything but the policy itself goes wrong; then lost for good."""

    def __init__(
        self,
        address: ServerAddress,
        credentials: Credentials,
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float,
        patience_s: float,
    ) -> None:
        """Connect, prove the token, and read the description of the policy.

        Args:
            address: of the server.
            credentials: of the server.
            tls: what is trusted; None where the server has no TLS.
            timeout_s: for all of it.
            patience_s: the server drops questions that have waited for longer.

        Raises:
            PolicyServerError: gone, late, full, of another version, or it does not take the token; says which.
        """
        self._address = address
        self._last = 0
        self._stream: Stream | None = None
        deadline_s = time.monotonic() + timeout_s
        try:
            self._stream = Stream(socket.create_connection((address.host, address.port), timeout_s))
            if tls is not None:
                self._stream.begin_tls(tls, deadline_s, server_name=address.host)
        except TimeoutError as error:
            raise self._lost(f"it cannot be reached within {timeout_s:g} s") from error
        except OSError as error:
            raise self._lost(f"it cannot be reached: {error.strerror or error}") from error
        fields = {"protocol": str(PROTOCOL), "library": __version__, "patience_ms": str(round(patience_s * 1000))}
        answer = self._exchange(
            Message(HELLO, fields), timeout_s, deadline_s, begin_with=credentials.proof, gone=_NO_WORD
        )
        try:
            if answer.kind != WELCOME:
                raise MessageError(f"It greets with '{answer.kind[:100]}'.")
            self.description: PolicyDescription = read_welcome(answer)
        except MessageError as error:
            raise self._lost(f"its answer is none: {error}") from error

    @property
    def is_open(self) -> bool:
        """Tell whether a question may be asked."""
        return self._stream is not None

    def ask(
        self,
        kind: str,
        fields: Mapping[str, str],
        arrays: Mapping[str, np.ndarray],
        *,
        expected: str,
        timeout_s: float,
    ) -> Message:
        """Return the answer to a question.

        Args:
            kind: of the question.
            fields: of the question, without its number.
            arrays: of the question.
            expected: kind of the answer.
            timeout_s: for the answer.

        Raises:
            PolicyServerError: gone, late, or the answer is none; the connection is lost.
            QsftError: what the policy itself raised; the connection stays.
        """
        self._last += 1
        question = Message(kind, {**fields, "sequence": str(self._last)}, arrays)
        answer = self._exchange(question, timeout_s, time.monotonic() + timeout_s, gone="it is gone")
        try:
            if answer.integer("sequence") != self._last:
                raise MessageError(f"It answers question {answer.integer('sequence')}, not {self._last}.")
            error = read_error(answer) if answer.kind == ERROR else None
            if error is None and answer.kind != expected:
                raise MessageError(f"It answers '{answer.kind[:100]}', not '{expected}'.")
        except MessageError as problem:
            raise self._lost(f"its answer is none: {problem}") from problem
        if error is not None:
            raise error
        return answer

    def give_up(self, error: MessageError) -> PolicyServerError:
        """Close the connection because of what an answer says; return the error to raise."""
        return self._lost(f"its answer is none: {error}")

    def close(self) -> None:
        """Leave the server."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def _exchange(
        self, question: Message, timeout_s: float, deadline_s: float, *, begin_with: bytes = b"", gone: str
    ) -> Message:
        if self._stream is None:
            raise PolicyServerError(f"Policy server {self._address}: the connection is lost; reset begins again.")
        try:
            self._stream.send(begin_with, deadline_s)
            self._stream.send_frame(pack(question), deadline_s)
            answer = unpack(self._stream.receive_frame(LARGEST_ANSWER, deadline_s))
            refusal = read_refusal(answer) if answer.kind == REFUSED else None
        except TimeoutError as error:
            raise self._lost(f"no answer within {timeout_s:g} s") from error
        except ConnectionError as error:
            raise self._lost(gone) from error
        except MessageError as error:
            raise self._lost(f"its answer is none: {error}") from error
        if refusal is not None:
            raise self._lost(f"it refuses: {refusal}")
        return answer

    def _lost(self, reason: str) -> PolicyServerError:
        self.close()
        return PolicyServerError(f"Policy server {self._address}: {reason.rstrip('.')}.")
