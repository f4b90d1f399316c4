"""Wall time and memory of a run, over every process it starts and every time it was killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import psutil

from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import partial_path
from vlm_qsft.errors import DatasetError

SAMPLE_PERIOD_S = 0.5
SAVE_PERIOD_S = 5.0


@dataclass(frozen=True)
class Usage:
    """What a run has used so far.

    Attributes:
        wall_s: wall time, summed over all starts of the run, seconds.
        peak_rss_gb: largest resident memory of the process and all its children at one moment, 10^9 bytes. Pages that
            several of them share count once for each, so it is an upper bound.
    """

    wall_s: float
    peak_rss_gb: float


class UsageMeter:
    """Context manager that samples from a thread and keeps the sums in a JSON file.

    The file is written every few seconds, so that a run that is killed loses at most that much of its account.
    """

    def __init__(self, path: Path) -> None:
        """Read the sums so far.

        Raises:
            DatasetError: the file is damaged.
        """
        self._path = path
        self._before = Usage(0.0, 0.0)
        if path.is_file():
            self._before = _read_usage(path)
        self._peak_gb = self._before.peak_rss_gb
        self._begin_s = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="usage-meter", daemon=True)

    def __enter__(self) -> UsageMeter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        if not isinstance(problem, OSError):  # a full disk must not be hidden by a second one
            self._save()

    def usage(self) -> Usage:
        """Return what has been used until now."""
        self._peak_gb = max(self._peak_gb, process_tree_rss_gb())
        return Usage(self._before.wall_s + time.monotonic() - self._begin_s, self._peak_gb)

    def _sample(self) -> None:
        saved_s = time.monotonic()
        while not self._stopped.wait(SAMPLE_PERIOD_S):
            self._peak_gb = max(self._peak_gb, process_tree_rss_gb())
            if time.monotonic() - saved_s >= SAVE_PERIOD_S:
                saved_s = time.monotonic()
                # A full disk is the business of the work itself, which says so; this account may be a bit old then.
                with contextlib.suppress(OSError):
                    self._save()

    def _save(self) -> None:
        partial = partial_path(self._path)  # not brought to the disk: a line that is a bit old does no harm
        partial.write_text(json.dumps(asdict(self.usage())))
        os.replace(partial, self._path)


def _read_usage(path: Path) -> Usage:
    record = read_json(path)
    try:
        return Usage(float(record["wall_s"]), float(record["peak_rss_gb"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise DatasetError(
            f"{path} is no account of a run ({problem!r}). Delete it: only the account is lost."
        ) from problem


def process_tree_rss_gb() -> float:
    """Return the resident memory of this process and all its descendants now, 10^9 bytes."""
    process = psutil.Process()
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:  # ended between the listing and the question
            continue
    return total / 1e9
