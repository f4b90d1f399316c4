"""ReviewServer: the page of a review on the loopback interface, behind a random token in its address."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from qsft_datasets.labeling.review.decisions import DECISIONS, Decision
from qsft_datasets.labeling.review.view import ReviewView
from vlm_qsft.errors import QsftError

HOST = "127.0.0.1"
PAGE = Path(__file__).with_name("page.html")
PICTURE = re.compile(r"picture/(\d{1,9})/(\d{1,4})/(\d{1,9})")
LARGEST_REQUEST = 1000
POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ReviewServer(ThreadingHTTPServer):
    """Serves one review until the page says that it is over.

    No path of a request ever reaches the file system: there is one page, and pictures are asked for by number.
    """

    daemon_threads = True
    timeout = 0.1  # seconds between two looks at `is_over`

    def __init__(self, view: ReviewView, *, port: int = 0) -> None:
        """Open the port.

        Args:
            port: 0 takes a free one.
        Raises:
            OSError: the port is taken.
        """
        self.view, self.token, self.is_over = view, secrets.token_urlsafe(24), False
        super().__init__((HOST, port), ReviewHandler)

    @property
    def address(self) -> str:
        """Where the page is; whoever knows it can decide."""
        return f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def serve_until_over(self) -> None:
        """Answer requests until the page ends the review."""
        while not self.is_over:
            self.handle_request()


class ReviewHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ReviewServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Answer with the page, the list of episodes, or a picture."""
        place = self._place()
        if place == "":
            nonce = secrets.token_urlsafe(16)
            page = PAGE.read_text(encoding="utf-8").replace("NONCE", nonce)
            self._answer(page.encode(), "text/html; charset=utf-8", policy=POLICY.format(nonce=nonce))
        elif place == "episodes":
            view = self.server.view
            episodes = [asdict(episode) for episode in view.shown()]
            self._answer_json({"cameras": view.cameras, "fps": view.fps, "episodes": episodes})
        elif place is not None and (numbers := PICTURE.fullmatch(place)):
            self._answer_picture(*(int(number) for number in numbers.groups()))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def do_POST(self) -> None:
        """Note a decision, or end the review."""
        place, content = self._place(), self._content()
        if place == "decide" and content is not None:
            self._decide(content)
        elif place == "end" and content is not None:
            self._answer_json({"ended": True})
            self.server.is_over = True
        else:
            self.close_connection = True
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the command."""

    def _place(self) -> str | None:
        # A page of another site that resolves its own name to the loopback interface names itself in Host.
        port = self.server.server_address[1]
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            return None
        _, _, rest = self.path.partition("/")
        token, slash, place = rest.partition("/")
        is_known = secrets.compare_digest(token.encode(), self.server.token.encode())
        return place if is_known and slash else None

    def _content(self) -> dict | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_REQUEST:
            return None
        try:
            content = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    def _decide(self, content: dict) -> None:
        episode, decision = content.get("episode"), content.get("decision")
        if type(episode) is not int or decision not in (None, *DECISIONS):
            self._refuse(HTTPStatus.BAD_REQUEST, f"Expected an episode and one of {', '.join(DECISIONS)}.")
            return
        try:
            self.server.view.decide(episode, cast(Decision | None, decision))
        except (QsftError, OSError) as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
            return
        self._answer_json({"episode": episode, "decision": decision})

    def _answer_picture(self, episode: int, camera: int, frame: int) -> None:
        try:
            picture = self.server.view.picture(episode, camera, frame)
        except QsftError as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
            return
        self._answer(picture, "image/jpeg", caching="private, max-age=3600")

    def _answer_json(self, content: object) -> None:
        self._answer(json.dumps(content).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._answer(json.dumps({"error": reason}).encode(), "application/json", status=status)

    def _answer(
        self,
        content: bytes,
        kind: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        caching: str = "no-store",
        policy: str = "default-src 'none'",
    ) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": caching,
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
