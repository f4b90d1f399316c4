"""Labels copies of a data set, killed by SIGKILL at every step that the file system sees, then labels them again.

`kill_everywhere.py PRISTINE WORK RULE SHARE`: one JSON line per step, the last one of the run that was not killed.
Every run is a fork of this process, which itself never touches a data set: importing is done once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from qsft_datasets.labeling import LabelRequest, label_dataset
from vlm_qsft.data import DatasetReader
from vlm_qsft.errors import DatasetError

STEPS = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"}


def forked(work: Callable[[], int | None]) -> int:
    """Run in a process of its own; return what it returns, 1 for an error, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = work() or 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at(step: int) -> None:
    """Kill this process when it is about to change the file system for the step-th time."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]
        if event in STEPS or writes:
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def digest(root: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            total.update(f"{path.relative_to(root)}".encode() + path.read_bytes())
    return total.hexdigest()


def main(pristine: Path, work: Path, rule: str, share: float) -> None:
    """Kill at step 1, 2, ... until a run comes to its end."""
    # A killed process loses nothing that it wrote; only a power failure asks for this, and it takes most of the time.
    os.fsync = lambda descriptor: None
    request = LabelRequest(rule=rule, gamma=0.9, counterfactual=share)
    root = work / "set"
    status, step = -9, 0
    while status != 0:
        step += 1
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(pristine, root)

        def killed(step: int = step) -> None:
            die_at(step)
            label_dataset(root, request)

        status = forked(killed)
        seen = forked(lambda: look_and_resume(root, request))
        print(json.dumps([step, status, seen, digest(root)]), flush=True)


def look_and_resume(root: Path, request: LabelRequest) -> int:
    """Label again; return 2 where the set was readable before, 3 where it was refused with a reason."""
    try:
        DatasetReader(root).column("mc_return")
        seen = 2
    except DatasetError:
        seen = 3
    label_dataset(root, request)
    return seen


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
