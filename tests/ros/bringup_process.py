"""A robot that is brought up in a process group of its own, as `python -m qsft_bringup.start` does it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType


class BringUp:
    """The nodes of one robot; ended, and checked to have ended well, when the block is left."""

    def __init__(self, log: Path, robot: str, **arguments: str) -> None:
        self._log = log
        words = [f"{name}:={value}" for name, value in arguments.items()]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qsft_bringup.start", robot, *words],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def __enter__(self) -> BringUp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=120)
        if error is not None:
            error.add_note(self.log)
            return
        assert status == 0, self.log
        assert "Traceback" not in self.log, self.log
