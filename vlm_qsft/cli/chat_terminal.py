"""A conversation in a terminal, or through a pipe: one line in, an answer out as it is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TextIO

from vlm_qsft.cli import interrupts
from vlm_qsft.cli.value_colours import coloured, legend, shows_colours
from vlm_qsft.dialogue.chat import Chat
from vlm_qsft.dialogue.plain_text import LONGEST_TEXT, plain_text

PROMPT = "> "
HELP = "/new begins anew, /quit or Ctrl-D ends, Ctrl-C ends an answer."
_LONGEST_LINE = 4 * LONGEST_TEXT


def converse(chat: Chat, *, ask: Callable[[], str | None], output: TextIO, show_values: bool) -> None:
    """Talk until there is nothing more to hear.

    Ctrl-C during an answer ends this answer; before one it ends the conversation, as Ctrl-D does.

    Args:
        chat: with whom.
        ask: returns the next line without its end, None at the end.
        output: gets what is said.
        show_values: colour tokens by their Q-values; where `output` takes no colours, say them behind the answer.
    """
    has_colours = shows_colours(output)
    print(f"{plain_text(chat.greeting).rstrip()}\n{HELP}", file=output, flush=True)
    if show_values and has_colours:
        print(legend(), file=output, flush=True)
    while (line := ask()) is not None:
        command = line.strip()
        if command == "/quit":
            return
        if command == "/new":
            print(plain_text(chat.begin_anew()).rstrip(), file=output, flush=True)
        elif command in ("/help", "/?"):
            print(HELP, file=output, flush=True)
        else:
            _answer(chat, line, output=output, show_values=show_values, has_colours=has_colours)


def _answer(chat: Chat, line: str, *, output: TextIO, show_values: bool, has_colours: bool) -> None:
    q_values: list[float] = []
    last = "\n"
    fragments = chat.hear(line)
    try:
        for fragment in fragments:
            text = plain_text(fragment.text)
            if fragment.is_notice:
                text = ("" if last.endswith("\n") else "\n") + text + "\n"
            elif not math.isnan(fragment.q_value):
                q_values.append(fragment.q_value)
            last = text or last
            output.write(coloured(text, fragment.q_value) if show_values and has_colours else text)
            output.flush()
    except interrupts.Terminated:
        raise
    except KeyboardInterrupt:
        output.write(" (interrupted)")
        last = ""
    finally:
        close = getattr(fragments, "close", None)
        if close is not None:
            close()
    if not last.endswith("\n"):
        output.write("\n")
    if show_values and not has_colours and q_values:
        mean = math.fsum(q_values) / len(q_values)
        output.write(f"(Q-values {min(q_values):.2f} to {max(q_values):.2f}, mean {mean:.2f})\n")
    output.flush()


def ask_terminal() -> str | None:
    """Return a line that a person types; None at Ctrl-D or Ctrl-C."""
    try:
        return input(PROMPT)
    except interrupts.Terminated:
        raise
    except (EOFError, KeyboardInterrupt):
        print()
        return None


def ask_stream(stream: TextIO) -> str | None:
    """Return the next line of a pipe or a file; of an endless line only its beginning, so that memory stays bounded."""
    line = stream.readline(_LONGEST_LINE)
    if not line:
        return None
    rest = line
    while rest and not rest.endswith("\n"):
        rest = stream.readline(_LONGEST_LINE)
    return line.rstrip("\r\n")
