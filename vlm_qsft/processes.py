"""Work spread over processes: how many, the same results for any number of them, and no orphans after a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlm_qsft.errors import InvalidSetting, WorkerLost

Progress = Callable[[int, int], None]
"""Called with (finished, total) after each piece of work."""

JOBS_AHEAD = 4
"""Waiting jobs per worker: enough that a long one does not starve the others, few enough to stop soon."""

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores this process may keep busy: its affinity, cut by the container's quota (cgroup v2)."""
    cores = len(os.sched_getaffinity(0))
    if cgroup.is_file():
        quota, period = cgroup.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def run_in_order[Job, Result](
    make_runner: Callable[[], Callable[[Job], Result]], jobs: Sequence[Job], *, workers: int
) -> Iterator[Result]:
    """Yield the result of every job, in the order of the jobs.

    Args:
        make_runner: called once in every process that gets a job; gives the function that does one. What is expensive
            (a policy, an environment, an open file) is made here. Picklable for more than one worker.
        jobs: picklable for more than one worker.
        workers: processes; 1, and a single job, work in this one.

    Raises:
        InvalidSetting: fewer than one worker.
        WorkerLost: a worker process was killed.
        QsftError: whatever a runner or its making raises; the jobs that have not begun are dropped.
    """
    if workers < 1:
        raise InvalidSetting(f"workers is {workers}: expected at least 1.")
    if workers == 1 or len(jobs) <= 1:
        run_job = None
        for job in jobs:
            run_job = run_job or make_runner()
            yield run_job(job)
        return
    with _one_thread_each(), _new_pool(make_runner, workers) as pool:
        running: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                running.append(_submit(pool, job))
                if len(running) >= workers * JOBS_AHEAD:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerLost(
                "A worker process was killed (out of memory?). What is complete is kept: run the same command again, "
                "with fewer workers if memory is short."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _new_pool(make_runner: Callable[[], Callable[[Any], Any]], workers: int) -> ProcessPoolExecutor:
    # Fresh interpreters: a forked one would inherit OpenGL, OpenCV and torch threads in an unusable state.
    context = multiprocessing.get_context("spawn")
    with _undisturbed():
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(make_runner,))


def _submit(pool: ProcessPoolExecutor, job: Any) -> Future[Any]:
    with _undisturbed():
        return pool.submit(_run, job)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off until the block is left; a process that begins in it never hears Ctrl-C.

    Ctrl-C reaches every process of the terminal, and the main one decides: a worker begins inside of the block and
    inherits what is blocked. That does not keep the signal from the main thread: any other thread receives it, and
    Python raises it in the main one, between the start of a worker and what the worker reads to begin.
    """
    put_off: list[int] = []
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    # Only the main thread is ever interrupted, and only it may say how.
    is_main = threading.current_thread() is threading.main_thread()
    replaced = {number: handler for number, handler in before.items() if is_main and handler is not None}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        for number in replaced:
            signal.signal(number, lambda number, _: put_off.append(number))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in replaced.items():
            signal.signal(number, handler)
        for number in put_off:
            signal.raise_signal(number)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let worker processes begin with one thread for linear algebra: the cores are taken by the workers."""
    added = [name for name in THREAD_SETTINGS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


_make_runner: Callable[[], Callable[[Any], Any]] | None = None
_run_job: Callable[[Any], Any] | None = None


def _begin(make_runner: Callable[[], Callable[[Any], Any]]) -> None:
    global _make_runner
    _make_runner = make_runner
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # When the main process is killed nothing closes the queue of jobs: its workers would wait forever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(job: Any) -> Any:
    global _run_job
    if _make_runner is None:
        raise RuntimeError("The worker was not begun.")
    # Made at the first job and not when the process begins: an error there would read as a killed worker.
    _run_job = _run_job or _make_runner()
    return _run_job(job)
