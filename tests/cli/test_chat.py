"""`qsft chat`: pipes, terminals, colours, interrupts, the page, and what does not go together."""

from __future__ import annotations

import http.client
import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from vlm_qsft.cli.chat_terminal import ask_stream, converse
from vlm_qsft.cli.main import main
from vlm_qsft.cli.value_colours import BANDS, band, coloured, legend
from vlm_qsft.dialogue.chat import Fragment
from vlm_qsft.dialogue.checkpoint import save_text_checkpoint
from vlm_qsft.dialogue.tasks import RECORDING, game_generator, language_task, play
from vlm_qsft.dialogue.text_format import TextFormat
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_settings import TextModelSettings

from ..dialogue.operator.small_policy import write_checkpoint

QSFT = [sys.executable, "-m", "vlm_qsft.cli.main", "chat"]


class Output(io.StringIO):
    """A stream that is a terminal, or is not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


class Speaking:
    """Answers with two tokens and their Q-values; interrupted in the second one when it is told to."""

    greeting = "Somebody \x1b[31mred"

    def __init__(self, *, interrupted: bool = False) -> None:
        self.heard: list[str] = []
        self.left = 0
        self._interrupted = interrupted

    def hear(self, text: str) -> Iterator[Fragment]:
        self.heard.append(text)
        try:
            yield Fragment("one\n", 0.1)
            if self._interrupted:
                raise KeyboardInterrupt
            yield Fragment("two\x1b[2J", 0.9)
        finally:
            self.left += 1

    def begin_anew(self) -> str:
        return "anew"


def asking(*lines: str) -> Callable[[], str | None]:
    left = list(lines)
    return lambda: left.pop(0) if left else None


def conversation(chat: Speaking, *lines: str, is_terminal: bool = False, show_values: bool = True) -> str:
    output = Output(is_terminal=is_terminal)
    converse(chat, ask=asking(*lines), output=output, show_values=show_values)
    return output.getvalue()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.usefixtures("terminal")
def test_tokens_stand_on_the_colour_of_their_q_value_with_a_legend() -> None:
    shown = conversation(Speaking(), "Hi", is_terminal=True)
    assert legend() in shown
    assert "\x1b[48;5;53;38;5;231mone\x1b[0m\n" in shown
    assert "\x1b[48;5;220;38;5;16mtwo\ufffd[2J\x1b[0m" in shown
    assert "\x1b[31m" not in shown and "\x1b[2J" not in shown  # of the chat's own nothing is left


@pytest.mark.usefixtures("terminal")
def test_without_show_values_nothing_is_coloured() -> None:
    assert "\x1b" not in conversation(Speaking(), "Hi", is_terminal=True, show_values=False)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_where_no_colours_are_wanted_q_values_are_said(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    shown = conversation(Speaking(), "Hi", is_terminal=True)
    assert "\x1b" not in shown and "(Q-values 0.10 to 0.90, mean 0.50)" in shown


def test_a_pipe_is_never_coloured() -> None:
    shown = conversation(Speaking(), "Hi")
    assert "\x1b" not in shown and "(Q-values 0.10 to 0.90, mean 0.50)" in shown


def test_every_q_value_has_a_band() -> None:
    assert [band(value) for value in (0.0, 0.19, 0.2, 0.5, 0.99, 1.0)] == [0, 0, 1, 2, 4, 4]
    assert [coloured(" ", value) for value in (float("nan"),)] == [" "]
    assert len(BANDS) == 5


def test_an_interrupted_answer_ends_and_the_conversation_goes_on() -> None:
    chat = Speaking(interrupted=True)
    shown = conversation(chat, "Hi", "Again")
    assert shown.count("(interrupted)") == 2 and chat.heard == ["Hi", "Again"]
    assert chat.left == 2


def test_commands_are_not_said() -> None:
    chat = Speaking()
    shown = conversation(chat, "/help", "/new", "/quit", "never heard")
    assert chat.heard == [] and "anew" in shown and "Ctrl-D" in shown


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    stream = io.StringIO("x" * 3_000_000 + "\nnext\n")
    first = ask_stream(stream)
    assert first is not None and 100_000 < len(first) < 1_000_000
    assert ask_stream(stream) == "next" and ask_stream(stream) is None


def test_a_piped_game_is_played_line_by_line() -> None:
    words = [*QSFT, "--task", "wordle"]
    result = subprocess.run(words, input=b"raise\n\xff\xfe\x1b[2J\n", capture_output=True, timeout=120, check=True)
    lines = result.stdout.decode().splitlines()
    assert lines[0].startswith("wordle: guess a hidden word")
    assert any(len(line) == 9 and set(line) <= set("byg ") for line in lines)
    assert b"\x1b" not in result.stdout and result.stderr == b""


class Terminal:
    """`qsft chat` in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen([*QSFT, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        self.shown = b""

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read_until(self, wanted: bytes) -> None:
        """Read on until `wanted` stands behind what was read before."""
        begin = len(self.shown)
        while wanted not in self.shown[begin:]:
            try:
                part = os.read(self.master, 4096)
            except OSError:  # Linux's way of saying that nobody writes any more
                part = b""
            assert part, f"the end before {wanted!r}: {self.shown.decode(errors='replace')}"
            self.shown += part

    def interrupt(self) -> None:
        """Press Ctrl-C, and again: Python waits on where it comes just before its line editor waits for a key."""
        while self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)

    def end(self) -> int:
        try:
            while os.read(self.master, 4096):
                pass
        except OSError:
            pass
        os.close(self.master)
        return self.process.wait(timeout=60)


@pytest.mark.parametrize("is_interrupted", [False, True], ids=["Ctrl-D", "Ctrl-C"])
def test_a_terminal_has_a_prompt_and_ends_by_a_key(is_interrupted: bool) -> None:
    terminal = Terminal("--task", "wordle")
    terminal.read_until(b"> ")
    terminal.type(b"raise\n")
    terminal.read_until(b"> ")
    assert b"Wordle:" in terminal.shown
    if is_interrupted:
        # What the key does where the terminal is the controlling one, which the terminal of a test is not.
        terminal.interrupt()
    else:
        terminal.type(b"\x04")
    assert terminal.end() == 0


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an untrained checkpoint of Wordle."""
    task = language_task("wordle")
    logs = [play(task, lambda _: task.logged_action(), game_generator("wordle", RECORDING, game)) for game in range(30)]
    text_format = TextFormat.fit("wordle", logs)
    torch.manual_seed(0)
    settings = TextModelSettings(width=32, layers=1)
    behavior, q_model = (build_text_scorer(settings, n_words=text_format.tokenizer.n_tokens) for _ in range(2))
    q_model.reset_dummy(0.5)
    folder = tmp_path_factory.mktemp("wordle") / "policy"
    save_text_checkpoint(folder, behavior=behavior, q_model=q_model, text_format=text_format, metadata={})
    return folder


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str, *arguments: str) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert main(["chat", *arguments]) == 0
    return capsys.readouterr().out


def test_a_text_checkpoint_is_watched_with_its_q_values(
    player: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = said(capsys, monkeypatch, "\nraise\n", str(player), "--show-values")
    assert "Enter alone lets policy play" in shown and "(Q-values 0." in shown
    again = said(capsys, monkeypatch, "\nraise\n", str(player), "--show-values")
    assert again == shown  # of the same seed


def test_the_simulated_robot_is_talked_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = write_checkpoint(tmp_path / "policy")
    typed = "what do you see?\nstop\nwhy did you stop?\n/new\njuggle\n"
    shown = said(capsys, monkeypatch, typed, "--sim", str(checkpoint), "--seed", "2")
    assert "A robot, trained to: pick up the ...." in shown
    assert "I hold." in shown and "The operator said 'stop'." in shown
    assert "A new scene." in shown and "I do not know the word 'juggle'" in shown


def test_the_page_is_served_until_ctrl_c() -> None:
    process = subprocess.Popen([*QSFT, "--task", "wordle", "--page"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = next(line.strip() for line in process.stdout if "http://" in line)
    host, _, path = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("GET", f"/{path}")
    assert connection.getresponse().status == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--show-values"], "has no Q-values"),
        (["--task", "wordle", "--show-values"], "no Q-values"),
        (["--task", "worlde"], "Did you mean 'wordle'?"),
        (["--min-value", "0.1"], "belongs to a robot"),
        (["--sim", "/nonexistent"], "No checkpoint folder"),
        (["--sim", "x", "--show-values"], "how sure are you"),
        (["--sim", "x", "somemodel"], "does not belong to it"),
        (["--sim", "x", "--task", "pic"], "Did you mean 'pick'?"),
        (["--task", "wordle", "--page", "--port", "99999"], "Port 99999 does not exist"),
        (["/nonexistent/model.gguf"], "no whole GGUF file"),
        (["no/such-model"], "Downloads are off"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: Sequence[str], words: str
) -> None:
    assert main(["chat", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_checkpoint_of_another_game_or_without_a_list_of_instructions_is_refused(
    player: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", str(player), "--task", "maze"]) == 2
    assert "was trained to play 'wordle', not 'maze'" in capsys.readouterr().err
    old = write_checkpoint(tmp_path / "old", with_instructions=False)
    assert main(["chat", "--sim", str(old)]) == 2
    assert "train it again" in capsys.readouterr().err
