"""Where a result comes from: versions, commit, machine, command."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from vlm_qsft.processes import usable_cores

# What can move a number of a run.
PACKAGES = (
    "vlm-qsft", "torch", "transformers", "accelerate", "numpy", "mujoco", "gymnasium", "pyarrow", "av",
    "opencv-python-headless", "safetensors", "lerobot",
)  # fmt: skip


def provenance() -> dict[str, Any]:
    """Return what stands beside every result: command, commit, versions, machine."""
    return {"command": command_line(), "commit": commit(), "versions": versions(), "machine": machine()}


def versions() -> dict[str, str | None]:
    """Return Python and every package of PACKAGES with its installed version, None where it is absent."""
    return {"python": platform.python_version(), **{name: installed_version(name) for name in PACKAGES}}


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """Return the commit of the checkout this library runs from, with "+" where files differ; None outside of one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    return None if head is None else head + ("+" if _git(root, "status", "--porcelain") else "")


def command_line() -> str:
    """Return the command as the user could repeat it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def machine() -> dict[str, str | int | float]:
    """Return what the work ran on: processor architecture, usable cores, memory."""
    import psutil

    return {
        "platform": platform.platform(),
        "cores": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    }


def _git(root: Path, *words: str) -> str | None:
    try:
        result = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
