"""Work spread over processes: the same results for any number of workers, and no orphans after a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from vlm_qsft.errors import QsftError, WorkerLost

Progress = Callable[[int, int], None]
"""Called with (finished, total) after each piece of work."""

ITEMS_AHEAD = 4
"""Items per worker that wait in the queue: enough to keep it busy, few enough to stop soon."""


def run_tasks[Item, Result](
    task: Callable[[Item], Result], items: Sequence[Item], *, workers: int, note: Callable[[Result], None]
) -> None:
    """Call `task` on every item and hand each result to `note`, in this process, as it comes.

    Args:
        task: picklable if there is more than one worker; each worker gets its own copy once, so that it may keep
            something expensive (an environment, an open file) between items.
        workers: processes; 1 works in this one.
    Raises:
        WorkerLost: a worker process was killed.
        QsftError: whatever the task raises; the work that has not begun is dropped.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            note(task(item))
        return
    # Fresh interpreters: a forked one would inherit OpenGL, OpenCV and torch threads in an unusable state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(task,)) as pool:
        running: set[Future[Result]] = set()
        try:
            for item in items:
                running.add(pool.submit(_run, item))
                if len(running) >= workers * ITEMS_AHEAD:
                    running = _collect(running, note)
            while running:
                running = _collect(running, note)
        except BrokenProcessPool as error:
            raise WorkerLost(
                "A worker process was killed (out of memory?). What is complete is kept: run the same command again, "
                "with fewer workers if memory is short."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores this process may keep busy: its affinity, cut by the container's quota (cgroup v2)."""
    cores = len(os.sched_getaffinity(0))
    if cgroup.is_file():
        quota, period = cgroup.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def _collect[Result](running: set[Future[Result]], note: Callable[[Result], None]) -> set[Future[Result]]:
    finished, still_running = wait(running, return_when=FIRST_COMPLETED)
    failed: QsftError | None = None
    for future in finished:
        try:
            note(future.result())
        except QsftError as error:
            failed = error
    if failed is not None:
        raise failed
    return still_running


_task: Callable[[Any], Any] | None = None


def _begin(task: Callable[[Any], Any]) -> None:
    global _task
    _task = task
    # Ctrl-C reaches every process of the terminal; the main one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # When the main process is killed nothing closes the queue of items: its workers would wait forever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(item: Any) -> Any:
    if _task is None:
        raise RuntimeError("The worker was not begun.")
    return _task(item)
