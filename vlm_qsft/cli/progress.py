"""Progress on the terminal: one line rewritten in place, or one line now and then where output is a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_PERIOD_S = 0.2
FILE_PERIOD_S = 15.0


def duration(seconds: float) -> str:
    """Return a length of time for people: 42 s, 3 min 05 s, 1 h 02 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class ProgressLine:
    """How far a piece of long work is, with an estimate of its end; called with (completed, total).

    The estimate starts from the first call: work that was resumed does not make the rest look fast.
    """

    def __init__(
        self,
        label: str,
        *,
        shows_rate: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            shows_rate: say how many pieces are complete per second.
        """
        self._label, self._shows_rate = label, shows_rate
        self._stream = sys.stdout if stream is None else stream
        self._clock = clock
        self._begin_s = clock()
        self._printed_s = -float("inf")
        self._first: int | None = None
        self._width = 0
        self._is_complete = False

    def __call__(self, completed: int, total: int) -> None:
        """Show that `completed` of `total` pieces are complete; after the last one nothing is shown any more."""
        if self._is_complete:
            return
        self._is_complete = completed >= total
        if self._first is None:
            self._first, self._begin_s = completed, self._clock()
        elapsed = self._clock() - self._begin_s
        gained = completed - self._first
        left = f"  {duration(elapsed / gained * (total - completed))} left" if gained and completed < total else ""
        rate = f"  {gained / elapsed:.3g} per second" if self._shows_rate and gained and elapsed > 0 else ""
        self._show(f"{completed}/{total}{rate}{left}", final=self._is_complete)

    def _show(self, text: str, *, final: bool) -> None:
        """Show a text, unless one was shown a moment ago; the final one is always shown."""
        now = self._clock()
        on_terminal = self._stream.isatty()
        if not final and now - self._printed_s < (TERMINAL_PERIOD_S if on_terminal else FILE_PERIOD_S):
            return
        self._printed_s = now
        line = f"  {self._label}: {text}"
        if on_terminal:
            self._stream.write("\r" + line.ljust(self._width) + ("\n" if final else ""))
            self._width = 0 if final else len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


class NamedProgress:
    """Shows several pieces of work after each other, each on its own line; called with (what, completed, total)."""

    def __init__(self) -> None:
        self._what = ""
        self._line: ProgressLine | None = None

    def __call__(self, what: str, completed: int, total: int) -> None:
        """Show that `completed` of `total` pieces of `what` are complete."""
        if self._line is None or what != self._what:
            self._what, self._line = what, ProgressLine(what)
        self._line(completed, total)
