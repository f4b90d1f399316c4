"""PageServer: one page on the loopback interface of this machine, behind a random token in its address.

The page is one file without a build step. It may load nothing from elsewhere, and no page of another site can ask for
it: a request must name this address as its host and, where it changes something, as its origin. No path of a request
ever reaches the file system.
"""

from __future__ import annotations

import errno
import json
import secrets
import sys
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from vlm_qsft.errors import InvalidSetting

HOST = "127.0.0.1"
DISCARDED_BYTES = 4 * 1024**2
"""Who sends too much, but no more than this, is told so; with more the connection may end before the answer."""
POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class PageServer(ThreadingHTTPServer):
    """Serves one page until `is_over`.

    Attributes:
        page: its file; `NONCE` in it is replaced at every request.
        token: part of every address; who knows it may do what the page can.
        is_over: set it to end `serve_until_over`.
    """

    daemon_threads = True
    timeout = 0.1  # seconds between two looks at `is_over`

    def __init__(self, page: Path, handler: type[PageHandler], *, port: int = 0) -> None:
        """Open the port.

        Args:
            page: an HTML file.
            handler: answers what the page asks for.
            port: 0 takes a free one.

        Raises:
            InvalidSetting: the port is taken.
        """
        self.page, self.token, self.is_over = page, secrets.token_urlsafe(24), False
        try:
            super().__init__((HOST, port), handler)
        except OverflowError as error:
            raise InvalidSetting(f"Port {port} does not exist: expected 1 to 65535, or 0 for a free one.") from error
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise InvalidSetting(
                f"Port {port} cannot be used ({error.strerror}). Leave --port out to take a free one."
            ) from error

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return how a browser may name this server."""
        port = self.server_address[1]
        return f"{HOST}:{port}", f"localhost:{port}"

    @property
    def address(self) -> str:
        """Return where the page is."""
        return f"http://{self.hosts[0]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that left in the middle of an answer; anything else keeps its traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def serve_until_over(self) -> None:
        """Answer requests until `is_over`."""
        while not self.is_over:
            self.handle_request()


class PageHandler(BaseHTTPRequestHandler):
    """Answers one request; `get` and `post` say with what.

    Attributes:
        largest_request: bytes of content that are read.
    """

    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    largest_request = 1000

    def get(self, place: str) -> bool:
        """Answer a request for something on the page; return whether there is such a thing."""
        raise NotImplementedError

    def post(self, place: str, content: dict[str, Any]) -> bool:
        """Do what the page asks for; return whether there is such a thing."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer with the page or what it shows."""
        place = self._place()
        if place == "":
            nonce = secrets.token_urlsafe(16)
            page = self.server.page.read_text(encoding="utf-8").replace("NONCE", nonce)
            self.answer(page.encode(), "text/html; charset=utf-8", policy=POLICY.format(nonce=nonce))
        elif place is None or not self.get(place):
            self.refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def do_POST(self) -> None:
        """Do something for the page."""
        place = self._place() if self._is_own_page() else None
        content = self._content()
        if place is None or content is None or not self.post(place, content):
            self.close_connection = True
            self.refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the command."""

    def answer_json(self, content: object) -> None:
        """Answer with JSON."""
        self.answer(json.dumps(content).encode(), "application/json")

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer that something cannot be done, with the reason."""
        self.answer(json.dumps({"error": reason}).encode(), "application/json", status=status)

    def answer(
        self,
        content: bytes,
        kind: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        caching: str = "no-store",
        policy: str = "default-src 'none'",
    ) -> None:
        """Answer with bytes of a content type."""
        self._send_head(kind, status=status, caching=caching, policy=policy, length=len(content))
        self.wfile.write(content)

    def answer_lines(self, lines: Iterable[object]) -> None:
        """Answer with one JSON value per line, each sent as soon as it is there."""
        self._send_head("application/x-ndjson")
        for line in lines:
            part = json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _send_head(
        self,
        kind: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        caching: str = "no-store",
        policy: str = "default-src 'none'",
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        for name, value in {
            "Content-Type": kind,
            **size,
            "Cache-Control": caching,
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }.items():
            self.send_header(name, value)
        self.end_headers()

    def _place(self) -> str | None:
        # A page of another site that resolves its own name to the loopback interface names itself in Host.
        if self.headers.get("Host") not in self.server.hosts:
            return None
        _, _, rest = self.path.partition("/")
        token, slash, place = rest.partition("/")
        is_known = secrets.compare_digest(token.encode(), self.server.token.encode())
        return place if is_known and slash else None

    def _is_own_page(self) -> bool:
        # Browsers name the page that posts; programs on this machine that know the token need not.
        origin = self.headers.get("Origin")
        return origin is None or origin in [f"http://{host}" for host in self.server.hosts]

    def _content(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or len(length) > 12:
            return None
        if int(length) > self.largest_request:
            # A connection that ends with unread content is reset, and the answer is lost on its way.
            left = min(int(length), DISCARDED_BYTES)
            while left and (part := self.rfile.read(min(left, 65536))):
                left -= len(part)
            return None
        try:
            content = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None
