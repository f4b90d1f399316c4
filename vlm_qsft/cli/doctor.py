"""`qsft doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_qsft.cli.arguments import CommandParser, place
from vlm_qsft.cli.provenance import installed_version
from vlm_qsft.cli.remote_flags import add_remote_flags, remote_settings
from vlm_qsft.errors import MissingDependency, QsftError
from vlm_qsft.processes import usable_cores

if TYPE_CHECKING:
    from vlm_qsft.remote import RemoteSettings

NEEDED_DISK_GB = 5.0
NEEDED_MEMORY_GB = 8.0
REQUIRED = ("numpy", "torch", "transformers", "safetensors", "pyarrow", "av", "opencv-python-headless", "jaxtyping")
OPTIONAL = {
    "accelerate": "train",
    "tensorboard": "train",
    "mujoco": "sim",
    "gymnasium": "sim",
    "lerobot": "lerobot",
    "gguf": "chat",
}
NOT_FOR_THE_DEMO = ("lerobot", "gguf")


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: what was looked at.
        state: "ok", "note" (works, but) or "missing" (something does not work without it).
        text: what was found, and the remedy where there is one.
    """

    subject: str
    state: str
    text: str


def build_parser() -> CommandParser:
    """Return the arguments of `qsft doctor`."""
    parser = CommandParser("doctor", description="Say what this machine has and what is missing; changes nothing.")
    parser.add_argument("--out", type=place, default=Path("runs"), help="where runs will be written")
    add_remote_flags(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Print every finding.

    Raises:
        InvalidSetting, UnknownName: flags that describe no policy server.
        MissingDependency: something that `qsft demo` needs is missing.
    """
    remote = remote_settings(arguments)
    findings = [
        python(),
        *packages(),
        accelerator(),
        cores(),
        memory(),
        disk(arguments.out),
        rendering(),
        *([] if remote is None else [policy_server(remote)]),
    ]
    for finding in findings:
        print(f"{finding.state:<8}{finding.subject:<12}{finding.text}")
    missing = [finding.subject for finding in findings if finding.state == "missing"]
    if missing:
        raise MissingDependency(f"Missing: {', '.join(missing)}. The lines above say how to get them.")
    print("Everything that `qsft demo` needs is here.")


def python() -> Finding:
    """Return which Python runs."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 12):
        return Finding("python", "ok", f"{version} at {sys.executable}")
    return Finding("python", "missing", f"{version}; 3.12 is needed (LeRobot and ROS 2 need it): run scripts/set_up.sh")


def packages() -> list[Finding]:
    """Return the required packages in one line, or one line for each that is absent."""
    absent = [name for name in REQUIRED if installed_version(name) is None]
    findings = [Finding(name, "missing", "run scripts/set_up.sh") for name in absent]
    found = ", ".join(f"{name} {installed_version(name)}" for name in (*REQUIRED, *OPTIONAL) if installed_version(name))
    findings.append(Finding("packages", "ok", found))
    for name, extra in OPTIONAL.items():
        if installed_version(name) is None:
            state = "note" if name in NOT_FOR_THE_DEMO else "missing"
            findings.append(Finding(name, state, f"not installed: pip install 'vlm-qsft[{extra}]'"))
    return findings


def accelerator() -> Finding:
    """Return which device training will use."""
    try:
        import torch
    except ImportError as problem:
        return Finding("device", "missing", f"torch cannot be imported: {problem}")
    if not torch.cuda.is_available():
        return Finding("device", "ok", "cpu (torch finds no GPU); presets smoke and demo are made for it")
    properties = torch.cuda.get_device_properties(0)
    return Finding("device", "ok", f"{properties.name}, {properties.total_memory / 1e9:.0f} GB; `--preset gpu` uses it")


def cores() -> Finding:
    """Return how many cores may be used."""
    count = usable_cores()
    return Finding("cores", "ok" if count > 1 else "note", f"{count}; recording and evaluation use all of them")


def memory() -> Finding:
    """Return how much memory is free."""
    import psutil

    available_gb = psutil.virtual_memory().available / 1e9
    if available_gb < NEEDED_MEMORY_GB:
        return Finding("memory", "note", f"{available_gb:.1f} GB free; the demo may want {NEEDED_MEMORY_GB:.0f} GB")
    return Finding("memory", "ok", f"{available_gb:.1f} GB free")


def disk(folder: Path) -> Finding:
    """Return how much room there is where runs are written."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        return Finding("disk", "missing", f"{place} is a file: choose another folder with --out")
    free_gb = shutil.disk_usage(place).free / 1e9
    if not _is_writable(place):
        return Finding("disk", "missing", f"{place} is not writable: choose another folder with --out")
    if free_gb < NEEDED_DISK_GB:
        return Finding("disk", "missing", f"{free_gb:.1f} GB free at {place}; the demo wants {NEEDED_DISK_GB:g} GB")
    return Finding("disk", "ok", f"{free_gb:.0f} GB free at {place}")


def policy_server(settings: RemoteSettings) -> Finding:
    """Return what a policy server says of its policy and its work, and how long it takes to answer."""
    from vlm_qsft.remote import RemotePolicy

    try:
        with RemotePolicy(settings) as policy:
            begin_s = time.perf_counter()
            health = policy.health()
            answer_ms = (time.perf_counter() - begin_s) * 1e3
    except QsftError as problem:
        return Finding("server", "missing", str(problem))
    cameras = ", ".join(policy.interface.cameras)
    serves = f"checkpoint {policy.description.identity[:16]}, cameras {cameras}"
    work = (
        f"up {health.uptime_s} s, {health.robots} connected, {health.waiting} waiting, {health.decisions} decisions, "
        f"{health.errors} errors, {health.late} late, {health.refused} refused, {health.wrong_proofs} without token"
    )
    return Finding("server", "ok", f"{settings.address} answers in {answer_ms:.1f} ms; {serves}; {work}")


def _is_writable(folder: Path) -> bool:
    """Tell by trying: permissions say nothing of a read-only file system, and root may do everything but that."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def rendering() -> Finding:
    """Return which back end will draw the camera pictures."""
    try:
        from qsft_sim.rendering import choose_back_end
    except ImportError as problem:
        return Finding("rendering", "missing", f"no simulator ({problem}): pip install 'vlm-qsft[sim]'")
    choice = choose_back_end()
    return Finding("rendering", "note" if choice.name == "rays" else "ok", f"{choice.name}: {choice.reason}")
