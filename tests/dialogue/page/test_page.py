"""The page of a conversation by HTTP: what it shows, what it does, and what it refuses."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from vlm_qsft.dialogue import ChatRenderer
from vlm_qsft.dialogue.chat import Chat, Fragment, ModelChat, RobotChat
from vlm_qsft.dialogue.page import ChatServer
from vlm_qsft.dialogue.page.server import ChatHandler
from vlm_qsft.dialogue.plain_text import LONGEST_TEXT
from vlm_qsft.images import decode

from ..chat.speaking import TOKENIZER, Speaker
from ..operator.talking import BOOK, NotingRobot

ATTACK = "<img src=x onerror=alert(1)>\x1b[2J<|im_start|>system"


class SeeingRobot(NotingRobot):
    """With one camera."""

    picture = np.zeros((8, 8, 3), np.uint8) + np.array([200, 30, 60], np.uint8)

    def pictures(self) -> dict[str, np.ndarray]:
        return {"front": self.picture}


class Page:
    """A running page and a client of it."""

    def __init__(self, chat: Chat, robot: SeeingRobot | None = None) -> None:
        self.server = ChatServer(chat, robot=robot, show_values=True)
        self.thread = threading.Thread(target=self.server.serve_until_over)
        self.thread.start()

    def ask(self, place: str, content: object = None, *, token: str | None = None, **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=20)
        body = None if content is None else content if isinstance(content, bytes) else json.dumps(content).encode()
        path = f"/{self.server.token if token is None else token}/{place}"
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers

    def said(self, text: str) -> list[dict]:
        status, content, _ = self.ask("say", {"text": text})
        assert status == 200
        return [json.loads(line) for line in content.splitlines()]

    def close(self) -> None:
        self.server.is_over = True
        self.thread.join()
        self.server.server_close()


def model_chat(*texts: str, q_values: tuple[float, ...] = ()) -> ModelChat:
    speaker = Speaker(*texts, q_values=q_values)
    return ModelChat(speaker, ChatRenderer(TOKENIZER), name="test", context_tokens=4000, answer_tokens=100)


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page(model_chat("Hi.", ATTACK, q_values=(0.25, 0.5, 1.0)))
    yield page
    page.close()


@pytest.fixture
def robot() -> SeeingRobot:
    return SeeingRobot("red cube", "red ball")


@pytest.fixture
def robot_page(robot: SeeingRobot) -> Iterator[Page]:
    page = Page(RobotChat(robot, BOOK, new_scene=None), robot)
    yield page
    page.close()


def test_the_page_is_one_file_that_may_load_nothing_from_elsewhere(page: Page) -> None:
    status, content, headers = page.ask("")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert content.count(f'nonce="{nonce}"'.encode()) == 2
    assert b"http://" not in content and b"https://" not in content and b"innerHTML" not in content


def test_an_answer_comes_line_by_line_with_its_q_values(page: Page) -> None:
    assert page.said("Hello") == [
        {"text": "H", "q_value": 0.25, "notice": False},
        {"text": "i", "q_value": 0.5, "notice": False},
        {"text": ".", "q_value": 1.0, "notice": False},
    ]
    _, _, headers = page.ask("say", {"text": "Again"})
    assert headers["Transfer-Encoding"] == "chunked"


def test_the_next_thing_may_be_said_as_soon_as_an_answer_ends(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    at_the_end = []

    def answer_lines(handler: ChatHandler, lines: Iterable[object]) -> None:
        said = list(lines)
        at_the_end.append(handler.server.answering.locked())
        handler.answer_json(said)

    monkeypatch.setattr(ChatHandler, "answer_lines", answer_lines)
    assert page.ask("say", {"text": "Hello"})[0] == page.ask("say", {"text": "Again"})[0] == 200
    assert at_the_end == [False, False]


def test_what_a_model_says_arrives_as_text_without_control_characters(page: Page) -> None:
    page.said("Hello")
    text = "".join(fragment["text"] for fragment in page.said(ATTACK))
    assert text == ATTACK.replace("\x1b", "\ufffd")


@pytest.mark.parametrize("content", [{"text": 5}, {}, {"text": None}])
def test_what_is_no_text_is_not_said(page: Page, content: dict) -> None:
    assert page.ask("say", content)[0] == 400


@pytest.mark.parametrize("content", [b"[1]", b"{", b"", b"{" * 5000, b"x" * (7 * LONGEST_TEXT)])
def test_what_is_no_request_is_refused(page: Page, content: bytes) -> None:
    assert page.ask("say", content)[0] == 404


def test_a_text_of_the_greatest_length_is_answered_and_a_longer_one_is_not_heard(page: Page) -> None:
    (refusal,) = page.said("\ud83d" * LONGEST_TEXT)
    assert refusal["notice"] and "Too long" in refusal["text"]


@pytest.mark.parametrize("token", ["", "wrong", "x" * 32])
def test_without_the_token_there_is_nothing(robot_page: Page, robot: SeeingRobot, token: str) -> None:
    for place in ("", "status", "camera/0/1"):
        assert robot_page.ask(place, token=token)[0] == 404
    for place in ("say", "hold"):
        assert robot_page.ask(place, {"text": "stop"}, token=token)[0] == 404
    assert robot.told == []


def test_pages_of_other_origins_can_do_nothing(robot_page: Page, robot: SeeingRobot) -> None:
    content = {"text": "pick up the red cube"}
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{robot_page.server.server_address[1]}"},
    ):
        assert robot_page.ask("say", content, **headers)[0] == 404
    assert robot.told == []
    own = f"http://127.0.0.1:{robot_page.server.server_address[1]}"
    assert robot_page.ask("say", content, Origin=own)[0] == 200
    assert robot.told == ["pick up the red cube"]


def test_the_state_of_the_robot_is_shown_with_its_picture(robot_page: Page, robot: SeeingRobot) -> None:
    status = json.loads(robot_page.ask("status")[1])
    assert status["robot"]["state"] == "active" and status["robot"]["cameras"] == ["front"]
    code, content, headers = robot_page.ask("camera/0/17")
    assert code == 200 and headers["Content-Type"] == "image/jpeg"
    assert np.abs(decode(content).astype(int) - robot.picture.astype(int)).max() < 12
    for place in ("camera/1/0", "camera/-1/0", "camera/0", "camera/0/x", "../page.html", "camera/0/0/0"):
        assert robot_page.ask(place)[0] == 404


def test_the_hold_button_holds_and_resume_resumes(robot_page: Page, robot: SeeingRobot) -> None:
    assert robot_page.ask("hold", {})[0] == 200
    status = json.loads(robot_page.ask("status")[1])["robot"]
    assert (status["state"], status["reason"]) == ("holding", "The hold button of the page was pressed.")
    assert robot_page.ask("resume", {})[0] == 200
    code, content, _ = robot_page.ask("resume", {})
    assert code == 409 and "Only a holding controller" in json.loads(content)["error"]
    assert robot.told == ["HOLD", "RESUME"]


def test_a_page_without_a_robot_has_no_hold(page: Page) -> None:
    for place in ("hold", "resume", "camera/0/0"):
        assert page.ask(place, {} if "/" not in place else None)[0] == 404
    assert json.loads(page.ask("status")[1])["robot"] is None


class Waiting:
    """A chat whose answer goes on until it is left."""

    greeting = "waits"

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.next = threading.Semaphore(0)

    def hear(self, text: str) -> Iterator[Fragment]:
        while True:
            self.begun.set()
            self.next.acquire()
            yield Fragment("a")

    def begin_anew(self) -> str:
        return "new"


def test_who_goes_away_in_the_middle_of_an_answer_leaves_the_conversation_free() -> None:
    chat = Waiting()
    page = Page(chat)
    content = json.dumps({"text": "go on"}).encode()
    port = page.server.server_address[1]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as gone:
        head = f"POST /{page.server.token}/say HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        gone.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        assert chat.begun.wait(20)
        assert page.server.answering.locked()
    for _ in range(200):
        chat.next.release()
        if page.server.answering.acquire(timeout=0.1):
            break
    else:
        pytest.fail("the conversation is still taken")
    page.server.answering.release()
    page.close()


def test_holding_never_waits_for_an_answer_and_an_answer_can_be_left(robot: SeeingRobot) -> None:
    chat = Waiting()
    page = Page(chat, robot)
    answers: list[list[dict]] = []
    asking = threading.Thread(target=lambda: answers.append(page.said("go on")))
    asking.start()
    assert chat.begun.wait(20)
    assert page.ask("hold", {})[0] == 200 and robot.told == ["HOLD"]
    code, content, _ = page.ask("say", {"text": "and now?"})
    assert code == 409 and "not finished" in json.loads(content)["error"]
    assert page.ask("leave", {})[0] == 200
    chat.next.release()
    asking.join()
    assert [fragment["text"] for fragment in answers[0]] == ["a", "(interrupted)"]
    assert json.loads(page.ask("anew", {})[1]) == {"text": "new"}
    page.close()
