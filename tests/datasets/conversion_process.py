"""A conversion in a process of its own, which a test can kill, and the bytes that it leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("convert_logs.py")


def start(logs: Path, root: Path, *words: str, **settings) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(logs), str(root), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def finish(logs: Path, root: Path, *words: str) -> dict[str, bytes]:
    """Convert, or continue, to the end."""
    process = start(logs, root, *words)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return content(root)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
