"""The line in front of the networks: batches, fairness, patience."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from vlm_qsft.errors import NotFinite, PolicyServerError, QsftError
from vlm_qsft.remote.batcher import Batcher
from vlm_qsft.types import Decision

from .rigs import PATIENT_S, wait_until

NOBODY = np.zeros((1, 1))


class Gate:
    """Decides when it is told to; a question is a number, its decision has that number as its value."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.permits = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)

    def begin(self, instruction, *, seed) -> Any:
        return (instruction, seed)

    def decide_together(self, questions: Sequence[Any]) -> list[Decision | QsftError]:
        self.batches.append(list(questions))
        self.entered.release()
        assert self.permits.acquire(timeout=PATIENT_S)
        return [
            NotFinite("negative") if question < 0 else Decision(NOBODY, NOBODY, NOBODY, NOBODY, question, 0.0, 0.0)
            for question in questions
        ]


def asked(pool: ThreadPoolExecutor, batcher: Batcher, number: float, *, patience_s: float = PATIENT_S) -> Future:
    """Ask in another thread; return once the question stands in line."""
    before = batcher.waiting
    future = pool.submit(batcher.ask, number, patience_s=patience_s)  # type: ignore[arg-type]
    wait_until(lambda: batcher.waiting == before + 1 or future.done())
    return future


@pytest.mark.parametrize("max_batch", [1, 2, 4])
def test_who_comes_first_is_decided_first_and_no_batch_is_too_large(max_batch):
    gate = Gate()
    with ThreadPoolExecutor(10) as pool, closing(Batcher(gate, max_batch=max_batch, window_s=0.0)) as batcher:
        first = pool.submit(batcher.ask, 0.0, patience_s=PATIENT_S)  # type: ignore[arg-type]
        assert gate.entered.acquire(timeout=PATIENT_S)  # the networks are busy with it from now on
        others = [asked(pool, batcher, float(number)) for number in range(1, 9)]
        gate.permits.release(9)
        assert [future.result().value for future in (first, *others)] == list(range(9))
    later = [float(number) for number in range(1, 9)]
    assert gate.batches == [[0.0], *(later[at : at + max_batch] for at in range(0, 8, max_batch))]


def test_the_first_waits_for_others_within_the_window_and_not_once_the_batch_is_full():
    gate = Gate()
    gate.permits.release(2)
    with ThreadPoolExecutor(4) as pool, closing(Batcher(gate, max_batch=2, window_s=PATIENT_S)) as batcher:
        futures = [pool.submit(batcher.ask, float(number), patience_s=PATIENT_S) for number in range(2)]  # type: ignore[arg-type]
        assert sorted(future.result().value for future in futures) == [0.0, 1.0]
    assert len(gate.batches) == 1


def test_a_question_whose_asker_has_given_up_is_not_decided():
    gate = Gate()
    with ThreadPoolExecutor(4) as pool, closing(Batcher(gate, max_batch=4, window_s=0.0)) as batcher:
        first = pool.submit(batcher.ask, 0.0, patience_s=PATIENT_S)  # type: ignore[arg-type]
        assert gate.entered.acquire(timeout=PATIENT_S)
        impatient, patient = asked(pool, batcher, 1.0, patience_s=0.0), asked(pool, batcher, 2.0)
        gate.permits.release(3)
        with pytest.raises(PolicyServerError, match="nobody waits any more"):
            impatient.result()
        assert (first.result().value, patient.result().value) == (0.0, 2.0)
    assert gate.batches == [[0.0], [2.0]]


def test_the_error_of_one_question_is_raised_to_its_asker_alone():
    gate = Gate()
    gate.permits.release(4)
    with ThreadPoolExecutor(4) as pool, closing(Batcher(gate, max_batch=2, window_s=PATIENT_S)) as batcher:
        wrong, right = (pool.submit(batcher.ask, number, patience_s=PATIENT_S) for number in (-1.0, 1.0))  # type: ignore[arg-type]
        with pytest.raises(NotFinite, match="negative"):
            wrong.result()
        assert right.result().value == 1.0


def test_who_waits_when_the_server_ends_is_told_so():
    gate = Gate()
    with ThreadPoolExecutor(4) as pool:
        batcher = Batcher(gate, max_batch=1, window_s=0.0)
        first = pool.submit(batcher.ask, 0.0, patience_s=PATIENT_S)  # type: ignore[arg-type]
        assert gate.entered.acquire(timeout=PATIENT_S)
        second = asked(pool, batcher, 1.0)
        ending = pool.submit(batcher.close)
        gate.permits.release(2)
        ending.result(timeout=PATIENT_S)
        assert first.result().value == 0.0
        for future in (second, pool.submit(batcher.ask, 2.0, patience_s=PATIENT_S)):  # type: ignore[arg-type]
            try:
                assert future.result().value == 1.0  # decided before the end was noticed
            except PolicyServerError as error:
                assert "ends" in str(error)
        with pytest.raises(PolicyServerError, match="ends"):
            batcher.begin("pick up the red cube", seed=0)
