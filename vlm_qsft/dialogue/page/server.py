"""ChatServer: one conversation on a page of this machine."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from threading import Event, Lock
from typing import Any

from vlm_qsft.dialogue.chat import Chat, Fragment
from vlm_qsft.dialogue.page.robot_view import PageRobot, robot_json
from vlm_qsft.dialogue.plain_text import LONGEST_TEXT, plain_text
from vlm_qsft.errors import QsftError
from vlm_qsft.images import encode_jpeg
from vlm_qsft.page_server import PageHandler, PageServer

PAGE = Path(__file__).with_name("page.html")
PICTURE = re.compile(r"camera/([0-9]{1,3})/[0-9]{1,12}")
"""Number of the camera, and of the look: so that a browser asks every time."""

JPEG_QUALITY = 85


class ChatServer(PageServer):
    """Serves one conversation; one answer is made at a time. Holding never waits for an answer.

    Attributes:
        chat: that is shown.
        robot: that a hold button is for; None without one.
        show_values: whether tokens are coloured.
        answering: held while an answer is made.
        leave: set to end the answer under way.
    """

    def __init__(self, chat: Chat, *, robot: PageRobot | None, show_values: bool, port: int = 0) -> None:
        """Open the port; 0 takes a free one. Raises InvalidSetting: it is taken."""
        self.chat, self.robot, self.show_values = chat, robot, show_values
        self.answering, self.leave = Lock(), Event()
        super().__init__(PAGE, ChatHandler, port=port)

    def answer(self, text: str) -> Iterator[dict[str, Any]]:
        """Yield the fragments of an answer as JSON values."""
        self.leave.clear()
        try:
            for fragment in self.chat.hear(text):
                yield fragment_json(fragment)
                if self.leave.is_set():
                    yield fragment_json(Fragment("(interrupted)", is_notice=True))
                    return
        except QsftError as problem:
            yield fragment_json(Fragment(str(problem), is_notice=True))


class ChatHandler(PageHandler):
    """Answers one request."""

    server: ChatServer
    largest_request = 6 * LONGEST_TEXT + 1000  # a character may be escaped as six

    def get(self, place: str) -> bool:
        """Answer with the state of things, or a camera's picture."""
        robot = self.server.robot
        if place == "status":
            shown = None if robot is None else robot_json(robot.status(), list(robot.pictures()))
            self.answer_json(
                {
                    "greeting": plain_text(self.server.chat.greeting),
                    "values": self.server.show_values,
                    "robot": shown,
                }
            )
        elif robot is not None and (number := PICTURE.fullmatch(place)):
            pictures = list(robot.pictures().values())
            if int(number[1]) >= len(pictures):
                return False
            self.answer(encode_jpeg(pictures[int(number[1])], quality=JPEG_QUALITY), "image/jpeg")
        else:
            return False
        return True

    def post(self, place: str, content: dict[str, Any]) -> bool:
        """Say something, leave the answer, begin anew, hold or resume."""
        robot = self.server.robot
        if place == "say":
            self._say(content.get("text"))
        elif place == "leave":
            self.server.leave.set()
            self.answer_json({})
        elif place == "anew":
            self._begin_anew()
        elif place == "hold" and robot is not None:
            robot.hold("The hold button of the page was pressed.")
            self.answer_json({})
        elif place == "resume" and robot is not None:
            try:
                robot.resume()
            except QsftError as problem:
                self.refuse(HTTPStatus.CONFLICT, str(problem))
                return True
            self.answer_json({})
        else:
            return False
        return True

    def _say(self, text: object) -> None:
        if not isinstance(text, str):
            self.refuse(HTTPStatus.BAD_REQUEST, "Expected a text.")
        elif not self.server.answering.acquire(blocking=False):
            self.refuse(HTTPStatus.CONFLICT, "The answer before is not finished yet.")
        else:
            with ExitStack() as taken:
                taken.callback(self.server.answering.release)
                self.answer_lines(self._answer(text, taken))

    def _answer(self, text: str, taken: ExitStack) -> Iterator[dict[str, Any]]:
        yield from self.server.answer(text)
        taken.close()  # who reads the end of an answer may say the next thing at once

    def _begin_anew(self) -> None:
        self.server.leave.set()
        with self.server.answering:
            self.answer_json({"text": plain_text(self.server.chat.begin_anew())})


def fragment_json(fragment: Fragment) -> dict[str, Any]:
    """Return a fragment as JSON values."""
    q_value = None if math.isnan(fragment.q_value) else round(fragment.q_value, 4)
    return {"text": plain_text(fragment.text), "q_value": q_value, "notice": fragment.is_notice}
