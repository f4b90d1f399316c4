"""The review page by HTTP: what it shows, what it notes, and what it refuses."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.labeling import LabelRequest, OutcomeRequest, label_dataset
from qsft_datasets.labeling.review.decisions import FILE_NAME, read_decisions
from qsft_datasets.labeling.review.server import ReviewServer
from qsft_datasets.labeling.review.session import review_episodes
from qsft_datasets.labeling.review.view import ReviewView
from vlm_qsft.data import DatasetReader
from vlm_qsft.errors import DatasetError, InvalidSetting
from vlm_qsft.images import decode

from .sets import INSTRUCTIONS, LENGTHS, SCHEMA, SUCCESSES, pictures


class Page:
    """A running review and a client of it."""

    def __init__(self, root: Path) -> None:
        reader = DatasetReader(root)
        self.decisions = read_decisions(reader, reader.n_episodes)
        self.server = ReviewServer(ReviewView(reader, range(reader.n_episodes), self.decisions))
        self.thread = threading.Thread(target=self.server.serve_until_over)
        self.thread.start()

    def ask(
        self, place: str, content: object = None, *, token: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=20)
        body = None if content is None else content if isinstance(content, bytes) else json.dumps(content).encode()
        path = f"/{self.server.token if token is None else token}/{place}"
        connection.request("GET" if body is None else "POST", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers

    def close(self) -> None:
        self.server.is_over = True
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def page(root: Path) -> Iterator[Page]:
    page = Page(root)
    yield page
    page.close()


def test_the_page_is_one_file_that_may_load_nothing_from_elsewhere(page: Page):
    status, content, headers = page.ask("")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert content.count(f'nonce="{nonce}"'.encode()) == 2
    assert b"http://" not in content and b"https://" not in content
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_list_names_every_episode_and_what_is_decided(page: Page):
    page.ask("decide", {"episode": 2, "decision": "failure"})
    content = json.loads(page.ask("episodes")[1])
    assert content["cameras"] == ["front"]
    assert content["fps"] == 12.5
    assert [shown["length"] for shown in content["episodes"]] == list(LENGTHS)
    assert [shown["instruction"] for shown in content["episodes"]] == list(INSTRUCTIONS)
    assert [shown["decision"] for shown in content["episodes"]] == [None, None, "failure", None, None]


def test_pictures_are_those_of_the_asked_frame(page: Page):
    status, content, headers = page.ask("picture/1/0/5")
    assert status == 200 and headers["Content-Type"] == "image/jpeg"
    expected = pictures(1, LENGTHS[1], SCHEMA.cameras["front"])[5].astype(int)
    assert np.abs(decode(content).astype(int) - expected).mean() < 12


@pytest.mark.parametrize(
    "place",
    [
        "picture/1/0/6", "picture/9/0/0", "picture/0/1/0", "picture/0/0/-1", "picture/0/0", "picture/0/0/0/0",
        "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "page.html", "review.json", "..",
        "picture/0/0/0x", "picture/99999999999999/0/0",
    ],
)  # fmt: skip
def test_nothing_else_is_served(page: Page, place: str):
    status, content, _ = page.ask(place)
    assert status == 404
    assert set(json.loads(content)) == {"error"}


@pytest.mark.parametrize("token", ["", "wrong", "x" * 32, "..", "%C3%A9"])
def test_without_the_token_there_is_nothing(page: Page, token: str):
    for place in ("", "episodes", "picture/0/0/0"):
        assert page.ask(place, token=token)[0] == 404
    assert page.ask("decide", {"episode": 0, "decision": "success"}, token=token)[0] == 404
    assert page.decisions.of == {}


def test_the_token_alone_without_a_slash_is_nothing(page: Page):
    connection = http.client.HTTPConnection("127.0.0.1", page.server.server_address[1], timeout=20)
    connection.request("GET", f"/{page.server.token}")
    assert connection.getresponse().status == 404


def test_a_page_of_another_name_that_resolves_to_this_machine_is_refused(page: Page):
    assert page.ask("episodes", headers={"Host": "evil.example"})[0] == 404
    port = page.server.server_address[1]
    assert page.ask("episodes", headers={"Host": f"localhost:{port}"})[0] == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"episode": 0, "decision": "perhaps"}, 400),
        ({"episode": "0", "decision": "success"}, 400),
        ({"episode": True, "decision": "success"}, 400),
        ({"decision": "success"}, 400),
        ({"episode": 17, "decision": "success"}, 409),
        ([1, 2], 404),
        (b"{", 404),
        (b"x" * 5000, 404),
    ],
)
def test_what_is_no_decision_is_not_noted(page: Page, root: Path, content: object, status: int):
    assert page.ask("decide", content)[0] == status
    assert page.decisions.of == {} and not (root / FILE_NAME).exists()


def test_the_server_listens_on_the_loopback_interface_only(page: Page):
    assert page.server.server_address[0] == "127.0.0.1"
    assert len(page.server.token) >= 32


def test_every_decision_is_on_the_disk_before_it_is_answered(page: Page, root: Path):
    for episode, decision in ((0, "failure"), (1, "skip"), (0, "success")):
        assert page.ask("decide", {"episode": episode, "decision": decision})[0] == 200
        assert json.loads((root / FILE_NAME).read_text())["decisions"][str(episode)] == decision
    page.ask("decide", {"episode": 1, "decision": None})
    assert json.loads((root / FILE_NAME).read_text())["decisions"] == {"0": "success"}


def test_a_decision_that_cannot_be_stored_is_an_error_and_not_noted(page: Page, root: Path):
    (root / FILE_NAME).mkdir()
    (root / FILE_NAME / "in the way").touch()
    status, content, _ = page.ask("decide", {"episode": 0, "decision": "success"})
    assert status == 409 and "review.json" in json.loads(content)["error"]
    assert page.decisions.of == {}


def test_a_review_goes_on_where_it_was_and_its_decisions_label_the_set(root: Path):
    first = Page(root)
    for episode in range(4):
        first.ask("decide", {"episode": episode, "decision": "success" if episode % 2 else "failure"})
    first.close()
    second = Page(root)
    assert second.decisions.of == {0: "failure", 1: "success", 2: "failure", 3: "success"}
    request = LabelRequest(rule="binary01", outcome=OutcomeRequest(("review",)))
    with pytest.raises(DatasetError, match=r"Nothing decides on the success of episode 4"):
        label_dataset(root, request)
    second.ask("decide", {"episode": 4, "decision": "success"})
    second.ask("end", {})
    second.thread.join()
    second.server.server_close()
    label_dataset(root, request)
    table = DatasetReader(root).episodes
    assert table.success is not None and table.success.tolist() == [False, True, False, True, True]
    assert table.attributes["outcome_source"] == ("review",) * 5
    assert not label_dataset(root, request).changed


def test_decisions_on_other_episodes_are_not_taken_over(root: Path):
    (root / FILE_NAME).write_text('{"identity": "other", "decisions": {"0": "success"}}')
    with pytest.raises(DatasetError, match=r"review.json was made for other episodes"):
        label_dataset(root, LabelRequest(rule="binary01", outcome=OutcomeRequest(("review",))))
    (root / FILE_NAME).write_text('{"identity": "other", "decisions": {"0": "maybe"}}')
    with pytest.raises(DatasetError, match=r"holds no decisions of a review"):
        read_decisions(DatasetReader(root), 5)


def session(root: Path, *sources: str, press=lambda page: None) -> list[str]:
    """Run a whole session; `press` acts on the page as soon as its address is known."""
    lines: list[str] = []
    threads: list[threading.Thread] = []

    def announce(line: str) -> None:
        lines.append(line)
        address = next((word for word in line.split() if word.startswith("http://")), None)
        if address:
            threads.append(threading.Thread(target=press, args=(address,)))
            threads[-1].start()

    review_episodes(root, OutcomeRequest(sources), port=0, announce=announce)
    for thread in threads:
        thread.join()
    return lines


def post(address: str, place: str, content: dict) -> None:
    host, _, path = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("POST", f"/{path}{place}", json.dumps(content))
    assert connection.getresponse().status == 200


def test_a_session_ends_with_the_page_and_is_not_opened_again_when_all_is_decided(root: Path):
    def decide_all(address: str) -> None:
        for episode, success in enumerate(SUCCESSES):
            post(address, "decide", {"episode": episode, "decision": "success" if success else "failure"})
        post(address, "end", {})

    (line,) = session(root, "review", press=decide_all)
    assert line.startswith("5 episodes to review, 0 of them decided. Open\n  http://127.0.0.1:")
    (line,) = session(root, "review")
    assert line.startswith("Every episode is decided already")


def test_only_what_nothing_more_trusted_decides_is_shown(root: Path):
    (line,) = session(root, "review", "flag")
    assert line.startswith("Every episode is decided already")
    label_dataset(root, LabelRequest(rule="binary01", outcome=OutcomeRequest(("assume-success",))))
    (line,) = session(root, "flag", "review")  # the recorded flags are still known
    assert line.startswith("Every episode is decided already")


def test_skipped_episodes_are_shown_again_unless_they_may_be_assumed(root: Path):
    def skip_all(address: str) -> None:
        for episode in range(5):
            post(address, "decide", {"episode": episode, "decision": "skip"})
        post(address, "end", {})

    session(root, "review", press=skip_all)
    (line,) = session(root, "review", press=lambda address: post(address, "end", {}))
    assert line.startswith("5 episodes to review, 5 of them decided")
    (line,) = session(root, "review", "assume-failure")
    assert line.startswith("Every episode is decided already")
    label_dataset(root, LabelRequest(rule="binary01", outcome=OutcomeRequest(("review", "assume-failure"))))
    assert DatasetReader(root).episodes.attributes["outcome_source"] == ("assumed",) * 5


def test_a_port_that_is_taken_is_an_error(root: Path, page: Page):
    with pytest.raises(InvalidSetting, match=r"Port \d+ cannot be used.*Leave --port out"):
        review_episodes(root, OutcomeRequest(("review",)), port=page.server.server_address[1], announce=print)
