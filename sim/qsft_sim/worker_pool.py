"""Jobs in several processes, results in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from vlm_qsft.errors import InvalidSetting, QsftError

# Waiting jobs per worker: enough that a long episode does not starve the others, few enough to stop soon.
_JOBS_AHEAD = 4

_run_job: Callable[[Any], Any] | None = None


def run_in_order[Job, Result](
    make_runner: Callable[[], Callable[[Job], Result]], jobs: Iterable[Job], *, workers: int
) -> Iterator[Result]:
    """Yield the result of every job, in the order of the jobs.

    Args:
        make_runner: called once in every process; gives the function that does one job. Picklable for more than
            one worker. A policy is loaded here, once.
        jobs: picklable for more than one worker.
        workers: processes; 1 works in this one.

    Raises:
        QsftError: whatever a job raises; or a worker was killed.
    """
    if workers < 1:
        raise InvalidSetting(f"workers is {workers}: expected at least 1.")
    if workers == 1:
        run_job = make_runner()
        for job in jobs:
            yield run_job(job)
        return
    # Fresh interpreters: a forked one would inherit OpenGL and torch threads in an unusable state.
    context = multiprocessing.get_context("spawn")
    with (
        _one_thread_each(),
        ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(make_runner,)) as pool,
    ):
        running: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                running.append(pool.submit(_run_in_worker, job))
                if len(running) >= workers * _JOBS_AHEAD:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenProcessPool as error:
            raise QsftError(
                "A worker process died (out of memory?); its own message, if any, stands above. What was complete is "
                "kept: run the same command again, with fewer workers if memory is short."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _one_thread_each:  # noqa: N801 (reads as a function where it is used)
    """Let worker processes begin with one thread for linear algebra: cores are taken by the workers."""

    _NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

    def __enter__(self) -> None:
        self._added = [name for name in self._NAMES if name not in os.environ]
        for name in self._added:
            os.environ[name] = "1"

    def __exit__(self, *_: object) -> None:
        for name in self._added:
            del os.environ[name]


def _begin_worker(make_runner: Callable[[], Callable[[Any], Any]]) -> None:
    global _run_job
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _run_job = make_runner()


def _end_with_parent() -> None:
    # When the main process is killed nothing closes the job queue: its workers would wait forever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_in_worker(job: Any) -> Any:
    if _run_job is None:
        raise RuntimeError("The worker was not begun.")
    return _run_job(job)
