"""A process that reads files it is told of, so that a crash inside the HDF5 library ends it and not the tests.

As a script it reads one path a line and answers each with "read", "refused" or a traceback, as one line of JSON.
"""

from __future__ import annotations

import json
import resource
import select
import subprocess
import sys
import traceback
from pathlib import Path

MEMORY_BYTES = 4 * 2**30
TIME_S = 60.0


def read_everything(path: Path) -> str:
    """Return "read" or "refused"; any other exception than ours is a defect."""
    from qsft_datasets.hdf5 import open_source, recognise
    from vlm_qsft.errors import QsftError

    recognise(path)
    try:
        source = open_source(path)
        assert source.description.features
        for reference in source.references():
            dict(source.read(reference).steps)
    except QsftError:
        return "refused"
    return "read"


class ReadingProcess:
    """A process that is started again when the library inside has crashed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, path: Path) -> str:
        """Return what the process answers; "crashed" or "hung" where it gives none."""
        if self._process is None:
            words = [sys.executable, __file__]
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{path}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._ended("crashed")
        if not select.select([self._process.stdout], [], [], TIME_S)[0]:
            return self._ended("hung")
        line = self._process.stdout.readline()
        return json.loads(line) if line else self._ended("crashed")

    def _ended(self, how: str) -> str:
        self.close()
        return how

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for line in sys.stdin:
        try:
            answer = read_everything(Path(line.rstrip("\n")))
        except Exception:  # noqa: BLE001
            answer = traceback.format_exc()
        print(json.dumps(answer), flush=True)
