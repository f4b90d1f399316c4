"""`PolicyServer`: listens, lets in who has the token, and answers each of them in a thread of its own."""

from __future__ import annotations

import errno
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable
from typing import Self

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.remote.address import ServerAddress
from vlm_qsft.remote.batcher import Batcher, Deciding
from vlm_qsft.remote.credentials import PROOF_BYTES, Credentials
from vlm_qsft.remote.description import PolicyDescription
from vlm_qsft.remote.error_message import printable
from vlm_qsft.remote.health import HealthCounters, ServerHealth
from vlm_qsft.remote.observation_message import largest_observation
from vlm_qsft.remote.server_settings import ServerSettings
from vlm_qsft.remote.session import Session
from vlm_qsft.remote.stream import Stream

POLL_S = 0.2
"""How soon the accepting thread notices that the server ends."""
CLOSING_S = 10.0
NOTICE_S = 10.0
"""Strangers are reported at most this often: whoever knocks without end shall not fill the log."""


class PolicyServer:
    """Serves one policy until it is closed."""

    def __init__(
        self,
        decider: Deciding,
        description: PolicyDescription,
        *,
        address: ServerAddress,
        credentials: Credentials,
        tls: ssl.SSLContext | None = None,
        settings: ServerSettings | None = None,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Listen; answering begins with `start`.

        Args:
            decider: used by this server alone.
            description: of the policy, told to whoever has the token.
            address: port 0 takes a free one, see `address`.
            credentials: without which a peer gets nothing, not one byte.
            tls: what the server shows; None sends everything readable.
            settings: its limits.
            report: receives one line about every robot that comes, leaves or is refused; called from many threads.

        Raises:
            InvalidSetting: the address cannot be listened on, or the limits do not let one observation through.
        """
        self._settings = settings or ServerSettings()
        needed = largest_observation(description)
        if needed > self._settings.largest_message:
            raise InvalidSetting(
                f"One observation of this policy has up to {needed} bytes, and messages may have "
                f"{self._settings.largest_message}: allow at least {needed / 1024**2:.1f} MB (--max-message-mb)."
            )
        self._description = description
        self._credentials = credentials
        self._tls = tls
        self._report = lambda text: report(printable(text))  # parts of it come from the other side
        self._counters = HealthCounters()
        self._listener = _listen(address, self._take)
        self.address = ServerAddress(address.host, self._listener.server_address[1])
        self._batcher = Batcher(
            decider,
            max_batch=self._settings.max_batch,
            window_s=self._settings.batch_window_s,
            counters=self._counters,
        )
        self._begin_s = time.monotonic()
        self._changed = threading.Condition()
        self._strangers: dict[Stream, None] = {}  # in the order in which they came
        self._robots: set[Stream] = set()
        self._noticed_s = -NOTICE_S
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(POLL_S,), name="policy server", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def health(self) -> ServerHealth:
        """What the server has done so far."""
        with self._changed:
            robots, strangers = len(self._robots), len(self._strangers)
        return self._counters.health(
            uptime_s=time.monotonic() - self._begin_s,
            robots=robots,
            strangers=strangers,
            waiting=self._batcher.waiting,
        )

    def close(self) -> None:
        """Take no more connections, end those there are, and wait for the pass under way."""
        if self._thread.is_alive():
            self._listener.shutdown()
            self._thread.join()
        self._listener.server_close()
        with self._changed:
            for stream in (*self._strangers, *self._robots):
                stream.interrupt()
        self._batcher.close()
        with self._changed:
            self._changed.wait_for(lambda: not (self._strangers or self._robots), timeout=CLOSING_S)

    def _take(self, connection: socket.socket, peer: str) -> None:
        """Begin to serve a connection; the oldest that has proven nothing makes room for it."""
        stream = Stream(connection)
        with self._changed:
            if len(self._strangers) >= self._settings.max_strangers:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                oldest.interrupt()
            self._strangers[stream] = None
        threading.Thread(target=self._serve, args=(stream, peer), name=f"client {peer}", daemon=True).start()

    def _serve(self, stream: Stream, peer: str) -> None:
        """Serve one connection to its end."""
        try:
            if self._proves_itself(stream):
                self._serve_robot(stream, peer)
        except (TimeoutError, ConnectionError):
            pass  # whoever leaves frees its place, below; nothing has to be told to anyone
        finally:
            with self._changed:
                self._strangers.pop(stream, None)
                self._robots.discard(stream)
                self._changed.notify_all()
            stream.close()

    def _proves_itself(self, stream: Stream) -> bool:
        """Tell whether the other side has the token. Until then nothing it sends is looked at, and nothing is sent."""
        deadline_s = time.monotonic() + self._settings.message_timeout_s
        if self._tls is not None:
            stream.begin_tls(self._tls, deadline_s, server_name=None)
        if self._credentials.accepts(stream.receive(PROOF_BYTES, deadline_s)):
            return True
        count = self._counters.add("wrong_proofs")
        with self._changed:
            is_time = time.monotonic() - self._noticed_s >= NOTICE_S
            self._noticed_s = time.monotonic() if is_time else self._noticed_s
        if is_time:
            self._report(f"Somebody came without the token; {count} times so far")
        return False

    def _serve_robot(self, stream: Stream, peer: str) -> None:
        session = Session(
            stream,
            batcher=self._batcher,
            description=self._description,
            settings=self._settings,
            counters=self._counters,
            health=lambda: self.health,
        )
        with self._changed:
            if self._strangers.pop(stream, self) is self:
                return  # it made room for another one in this moment
            is_full = len(self._robots) >= self._settings.max_connections
            if not is_full:
                self._robots.add(stream)
        if is_full:
            self._report(
                f"{peer} refused: {session.refuse(f'The server is full: {len(self._robots)} robots are there.')}"
            )
            return
        self._report(f"{peer} connected")
        refusal = ""
        try:
            refusal = session.run()
        finally:
            self._report(f"{peer} refused: {refusal}" if refusal else f"{peer} left")


class _Listener(socketserver.TCPServer):
    """Accepts connections and hands them over."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, family: socket.AddressFamily, address: tuple, take: Callable[[socket.socket, str], None]
    ) -> None:
        self.address_family = family
        self._take = take
        super().__init__(address, socketserver.BaseRequestHandler)

    def process_request(self, request: socket.socket, client_address: tuple) -> None:  # type: ignore[override]
        """Hand over a connection, with the address of the other side."""
        self._take(request, str(ServerAddress(client_address[0], client_address[1])))


def _listen(address: ServerAddress, take: Callable[[socket.socket, str], None]) -> _Listener:
    """Return the listening socket. Raises InvalidSetting: the address is in use, not ours, or not allowed."""
    try:
        family, _, _, _, resolved = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _Listener(family, resolved, take)
    except OSError as error:  # socket.gaierror is one
        remedies = {
            errno.EADDRINUSE: "another program listens there; choose another --port",
            errno.EADDRNOTAVAIL: "this machine does not have that address; choose another --host",
            errno.EACCES: "ports below 1024 need permission; choose another --port",
        }
        reason = remedies.get(error.errno or 0) or error.strerror or str(error)
        raise InvalidSetting(f"Cannot listen on {address}: {reason}.") from error
