"""DialogueThread: answers an operator one utterance after the other, and lets a stop wait for none of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from threading import Lock

from vlm_qsft.dialogue.operator.operator_dialogue import OperatorDialogue, Reply, is_stop

MOST_WAITING = 16
"""Utterances that wait for an answer at most."""


class DialogueThread:
    """One conversation in a thread of its own, for programs whose own threads must not wait for a robot's answer."""

    def __init__(self, dialogue: OperatorDialogue, hold_now: Callable[[], None]) -> None:
        """Begin.

        Args:
            dialogue: answers.
            hold_now: makes the arm hold without waiting for anything; called by whoever calls `say`.
        """
        self._dialogue, self._hold_now = dialogue, hold_now
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dialogue")
        self._numbers = count(1)
        self._last_stop = 0
        self._n_waiting = 0
        self._lock = Lock()

    def say(self, text: str) -> Future[Reply]:
        """Return the answer to come. A stop acts before this returns; what was said before it and waits is left."""
        stops = is_stop(text)
        if stops:
            self._hold_now()
        with self._lock:
            number = next(self._numbers)
            if stops:
                self._last_stop = number
            elif self._n_waiting >= MOST_WAITING:
                busy: Future[Reply] = Future()
                busy.set_result(Reply("I have not listened: I still think about what was said before.", "refused"))
                return busy
            self._n_waiting += 1
        return self._thread.submit(self._answer, text, number)

    def close(self) -> None:
        """End; what waits is never answered."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _answer(self, text: str, number: int) -> Reply:
        with self._lock:
            self._n_waiting -= 1
            is_left = number < self._last_stop
        if is_left:
            return Reply("I leave that: a stop came after it.", "refused")
        return self._dialogue.hear(text)
