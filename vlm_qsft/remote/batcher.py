"""The line in front of the networks: robots that ask at about the same time are decided in one pass."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from vlm_qsft.errors import PolicyServerError, QsftError
from vlm_qsft.policy.decider import Episode, Question
from vlm_qsft.remote.health import HealthCounters
from vlm_qsft.types import Decision


class Deciding(Protocol):
    """What decides: `vlm_qsft.policy.decider.Decider`."""

    def begin(self, instruction: str, *, seed: int | None) -> Episode:
        """Return a new episode. Raises QsftError: the instruction cannot be understood."""
        ...

    def decide_together(self, questions: Sequence[Question]) -> Sequence[Decision | QsftError]:
        """Decide for several robots; where one cannot be answered, its error stands in its place."""
        ...


@dataclass(frozen=True)
class _Waiting:
    question: Question
    give_up_s: float
    answer: Future[Decision | QsftError] = field(default_factory=Future)


class Batcher:
    """Decides in one thread, first come, first served.

    A robot has one question at a time, so a fast robot takes no place from a slow one: its next question comes after
    those that wait already. A question whose asker has given up is dropped: under too much work the server answers
    fewer questions in time instead of all too late.
    """

    def __init__(
        self, decider: Deciding, *, max_batch: int, window_s: float, counters: HealthCounters | None = None
    ) -> None:
        """Start the thread.

        Args:
            decider: used by this batcher alone.
            max_batch: questions that are decided in one pass.
            window_s: how long the first of a batch waits for others, seconds; without effect where max_batch is 1.
            counters: to add to.
        """
        self._decider = decider
        self._max_batch = max_batch
        self._window_s = window_s
        self._counters = counters or HealthCounters()
        self._line: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._networks = ThreadPoolExecutor(max_workers=1, thread_name_prefix="networks")
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many questions stand in line."""
        return len(self._line)

    def begin(self, instruction: str, *, seed: int | None) -> Episode:
        """Return a new episode. Raises QsftError: the instruction cannot be understood, or the server ends."""
        with self._changed:
            if self._is_closed:
                raise PolicyServerError("The policy server ends.")
            begun = self._networks.submit(self._decider.begin, instruction, seed=seed)
        return begun.result()

    def ask(self, question: Question, *, patience_s: float) -> Decision:
        """Wait for the decision.

        Args:
            question: what one robot sees.
            patience_s: after it whoever asks no longer waits for the answer.
        Raises:
            QsftError: whatever keeps the policy from deciding.
        """
        waiting = _Waiting(question, time.monotonic() + patience_s)
        with self._changed:
            if self._is_closed:
                raise PolicyServerError("The policy server ends.")
            self._line.append(waiting)
            self._changed.notify_all()
        answer = waiting.answer.result()
        if isinstance(answer, QsftError):
            raise answer
        return answer

    def close(self) -> None:
        """End after the pass under way; who waits is told."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()
        self._networks.shutdown()

    def _run(self) -> None:
        while batch := self._next_batch():
            computed = self._networks.submit(self._decider.decide_together, [waiting.question for waiting in batch])
            error = computed.exception()  # a defect: who asked raises it, and the next batch is another one
            self._counters.add("batches")
            for number, waiting in enumerate(batch):
                if error is not None:
                    waiting.answer.set_exception(error)
                else:
                    waiting.answer.set_result(computed.result()[number])
        for waiting in self._line:
            waiting.answer.set_result(PolicyServerError("The policy server ends."))

    def _next_batch(self) -> list[_Waiting]:
        """Return at least one question; none when it is time to end."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._line or self._is_closed)
                if self._is_closed:
                    return []
                if self._max_batch > 1 and self._window_s > 0:
                    self._changed.wait_for(
                        lambda: len(self._line) >= self._max_batch or self._is_closed, timeout=self._window_s
                    )
                batch = self._take()
                if batch:
                    return batch

    def _take(self) -> list[_Waiting]:
        now_s = time.monotonic()
        batch: list[_Waiting] = []
        while self._line and len(batch) < self._max_batch:
            waiting = self._line.popleft()
            if now_s < waiting.give_up_s:
                batch.append(waiting)
            else:
                self._counters.add("late")
                waiting.answer.set_result(
                    PolicyServerError("The policy server had too much to do: nobody waits any more.")
                )
        return batch
