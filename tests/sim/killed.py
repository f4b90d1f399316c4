"""Programs that end themselves by SIGKILL while their workers are busy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def run_until_killed(program: str, out: Path) -> None:
    """Run a program that writes to `out`, its only argument, and return when it and all its workers have ended."""
    script = out.with_name(f"{out.stem}_program.py")
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # The workers hold the pipe too: run returns when they have ended with their parent.
    ended = subprocess.run([sys.executable, str(script), str(out)], stdout=subprocess.PIPE, env=environment)
    assert ended.returncode == -signal.SIGKILL
