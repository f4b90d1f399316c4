"""The emergency stop: whoever presses it, from whatever thread, it stays pressed until it is cleared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.errors import CommandRefused


class StopLatch:
    """Pressed or not."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._fault: Fault | None = None

    @property
    def fault(self) -> Fault | None:
        """Why it was pressed last; None when it is not pressed."""
        return self._fault

    def press(self, text: str) -> None:
        """Stop. Never refused; callable from any thread."""
        with self._lock:
            self._fault = Fault(FaultKind.EMERGENCY_STOP, text)

    @contextmanager
    def clearing(self) -> Iterator[None]:
        """Let it go at the end of the block; whoever presses it meanwhile waits, and then it is pressed again.

        Raises:
            CommandRefused: it is not pressed.
        """
        with self._lock:
            if self._fault is None:
                raise CommandRefused("There is no emergency stop to clear.")
            yield
            self._fault = None
