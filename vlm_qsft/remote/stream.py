"""A connected socket on which nothing waits longer than it was told, and nothing larger than allowed is read.

Both sides use it. A frame is four bytes of length, big-endian, then as many bytes.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

from vlm_qsft.errors import MessageError

LENGTH_BYTES = 4
PIECE_BYTES = 262_144
"""Read at once: memory grows with what has arrived, not with what was announced."""
_KEEP_ALIVE = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 25_000,
}
"""Seconds, seconds, count, milliseconds: a peer that vanished is found within 25 s."""


class Stream:
    """Reads and writes whole pieces. A deadline is a time on `time.monotonic()`; after an error only `close` is left.

    Raises from every method:
        TimeoutError: the deadline has passed.
        ConnectionError: the other side is gone.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A machine that lost its power says no farewell; without these its connection would stand for ever.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def begin_tls(self, context: ssl.SSLContext, deadline_s: float, *, server_name: str | None) -> None:
        """Shake hands; `server_name` is given by the client.

        Raises:
            ConnectionError: the other side speaks no TLS, or a certificate is not trusted.
        """
        try:
            self._connection = context.wrap_socket(
                self._connection,
                server_side=server_name is None,
                server_hostname=server_name,
                do_handshake_on_connect=False,
            )
            self._connection.settimeout(_left(deadline_s))
            self._connection.do_handshake()
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionError(_tls_reason(error)) from error

    def wait(self) -> bytes:
        """Wait for as long as it takes, return the first byte that comes."""
        return self._receive(1, None)

    def receive(self, count: int, deadline_s: float) -> bytes:
        """Return `count` bytes."""
        received = bytearray()
        while len(received) < count:
            received += self._receive(min(count - len(received), PIECE_BYTES), deadline_s)
        return bytes(received)

    def receive_frame(self, limit: int, deadline_s: float, *, begun_with: bytes = b"") -> bytes:
        """Return the content of one frame.

        Args:
            limit: of its length, bytes.
            deadline_s: for all of it.
            begun_with: what `wait` returned.
        Raises:
            MessageError: it announces more; nothing of it was read.
        """
        length = begun_with + self.receive(LENGTH_BYTES - len(begun_with), deadline_s)
        announced = int.from_bytes(length, "big")
        if announced > limit:
            raise MessageError(f"A message of {announced} bytes is announced, at most {limit} are allowed.")
        return self.receive(announced, deadline_s)

    def send(self, content: bytes, deadline_s: float) -> None:
        """Send all of `content`."""
        try:
            self._connection.settimeout(_left(deadline_s))
            self._connection.sendall(content)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionError(str(error)) from error

    def send_frame(self, content: bytes, deadline_s: float) -> None:
        """Send one frame."""
        self.send(len(content).to_bytes(LENGTH_BYTES, "big") + content, deadline_s)

    def finish(self, deadline_s: float) -> None:
        """Say that nothing more will come, and drop what still comes until the other side closes.

        A connection that is closed with unread bytes takes back what was sent last: a refusal would be lost.
        """
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_WR)
            while True:
                self._receive(PIECE_BYTES, deadline_s)

    def interrupt(self) -> None:
        """Let whoever waits on this connection, in another thread, find the other side gone."""
        # Only the owner closes: a closed number may at once belong to another connection.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self.interrupt()
        self._connection.close()

    def _receive(self, most: int, deadline_s: float | None) -> bytes:
        try:
            self._connection.settimeout(None if deadline_s is None else _left(deadline_s))
            piece = self._connection.recv(most)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionError(str(error)) from error
        if not piece:
            raise ConnectionError("the other side closed the connection")
        return piece


def _left(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _tls_reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return f"no TLS with it: {error.reason or error}" if isinstance(error, ssl.SSLError) else str(error)
