"""The set-up script where nothing has to be installed: no Python 3.12 at all, and an environment that is complete."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from glob import glob
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
INPUTS = ("pyproject.toml", "constraints.txt", "scripts/set_up.sh")
SYSTEM_PYTHONS = ("/usr/bin/python3.12", "/usr/local/bin/python3.12", "/opt/*/bin/python3.12")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in INPUTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def set_up(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout), **variables}
    return subprocess.run([checkout / "scripts/set_up.sh"], env=environment, capture_output=True, text=True)


def test_a_complete_environment_is_left_alone(checkout: Path) -> None:
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "qsft").write_text("#!/bin/sh\n")
    (programs / "qsft").chmod(0o755)
    content = f"{checkout}\n".encode() + b"".join((checkout / name).read_bytes() for name in INPUTS)
    (checkout / ".venv" / "set-up.sha256").write_text(hashlib.sha256(content).hexdigest() + "\n")
    before = sorted(checkout.rglob("*"))
    result = set_up(checkout)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert sorted(checkout.rglob("*")) == before


@pytest.mark.skipif(any(map(glob, SYSTEM_PYTHONS)), reason="the script rightly finds the system's Python 3.12")
def test_without_python_312_the_set_up_says_how_to_get_it(checkout: Path) -> None:
    shims = checkout / "shims"
    shims.mkdir()
    for name in ("python3.12", "python3", "python"):  # pyenv's shim of a version that is not chosen
        (shims / name).write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
        (shims / name).chmod(0o755)
    result = set_up(checkout, PATH=f"{shims}:/usr/bin:/bin")
    assert result.returncode == 2
    assert "pyenv install 3.12" in result.stderr
    assert "QSFT_PYTHON" in result.stderr
    assert not (checkout / ".venv").exists()


def test_every_constraint_is_a_pinned_version() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, equals, version = line.partition("==")
        assert equals and name and version and not set(version) & set("*<>=!~ ;"), line
