"""Ctrl-C and SIGTERM end a command by one exception, raised where it is neither lost nor taken for something else."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

SENT_AGAIN_AFTER_S = 0.05
"""Far longer than a finaliser takes, and shorter than somebody waits before pressing Ctrl-C again."""

_IMPORT = "<frozen importlib._bootstrap>"

_heard = threading.Event()


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a supervisor sends it: ends the work as Ctrl-C does."""


def listen() -> None:
    """Let Ctrl-C raise KeyboardInterrupt and SIGTERM Terminated, unless whoever started this process ignores them."""
    _heard.clear()
    if threading.current_thread() is not threading.main_thread():
        return
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == default:
            signal.signal(number, _raise)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _hear_again


def heard() -> None:
    """Note that the exception has arrived: what was to be sent again is not."""
    _heard.set()


def _raise(number: int, frame: FrameType | None) -> None:
    # Modules turn an interrupt of their import into an ImportError, or lose it in the import lock: about one of ten.
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            _send_again_later(number)
            return
        frame = frame.f_back
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _hear_again(problem: sys.UnraisableHookArgs) -> None:
    # Python drops whatever is raised while it finalises an object. If it drops it again, this is called again.
    if isinstance(problem.exc_value, KeyboardInterrupt):
        _send_again_later(signal.SIGTERM if isinstance(problem.exc_value, Terminated) else signal.SIGINT)
    else:
        sys.__unraisablehook__(problem)


def _send_again_later(number: int) -> None:
    threading.Timer(SENT_AGAIN_AFTER_S, _send, (number,)).start()


def _send(number: int) -> None:
    if not _heard.is_set():
        os.kill(os.getpid(), number)
