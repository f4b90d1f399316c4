"""`qsft bench`: run one of the measurements in the checkout's `benchmarks/` and show what it wrote."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from vlm_qsft.cli.arguments import CommandParser, one_of, place
from vlm_qsft.errors import MissingDependency

SUBJECTS = {
    "data": "our reader against LeRobotDataset on the same files",
    "train": "a step of the Q phase against a step of SFT on the same batch",
    "policy": "one Q-SFT decision against one SFT decision",
    "generate": "tokens of the Q-SFT policy through `generate` against plain generation",
    "text": "a training step on text by length of rows, attention and precision",
    "language": "Q-SFT, SFT and rivals on language tasks, at a reduced scale",
    "ros": "the control period of the ROS controller under two cameras and joint states",
    "serve": "a decision over the network against one here; robots decided in batches against one by one",
    "convert": "reading RLDS, converting Bridge against LeRobot's own writer, memory of a long stream",
}


def build_parser() -> CommandParser:
    """Return the arguments of `qsft bench`."""
    parser = CommandParser("bench", description="Measure, print the result and write it as JSON.")
    subjects = "; ".join(f"{name}: {text}" for name, text in SUBJECTS.items())
    parser.add_argument(
        "subject", type=one_of("benchmark", SUBJECTS), metavar=f"{{{','.join(SUBJECTS)}}}", help=subjects
    )
    parser.add_argument("--out", type=place, help="JSON file (default: runs/bench/SUBJECT.json)")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Run `benchmarks/bench_SUBJECT.py`, which prints its table and the path it wrote.

    Raises:
        MissingDependency: this is an installed copy; the benchmarks stand in the checkout only.
        StorageError: the result cannot be written.
    """
    subject: str = arguments.subject
    out: Path = arguments.out or Path("runs/bench") / f"{subject}.json"
    benchmark = load_benchmark(subject)
    from vlm_qsft.data.storage import storage_errors  # loads pyarrow: not for --help

    print(f"Measuring {SUBJECTS[subject]}. Nothing else should run on this machine meanwhile.", flush=True)
    with storage_errors(out):  # found now, not after minutes
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out))
    benchmark.main(["--out", str(out)])


def load_benchmark(subject: str) -> ModuleType:
    """Return the program of a benchmark; its `main` takes the words of a command line.

    Raises:
        MissingDependency: this is an installed copy.
    """
    program = Path(__file__).resolve().parents[2] / "benchmarks" / f"bench_{subject}.py"
    if not program.is_file():
        raise MissingDependency(
            f"{program} does not exist: benchmarks come with the checkout, not with the installed package. "
            "Run `qsft bench` from a clone of the repository."
        )
    specification = importlib.util.spec_from_file_location(f"bench_{subject}", program)
    assert specification is not None and specification.loader is not None  # it is a file that exists
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # where dataclasses look for the module that defines them
    specification.loader.exec_module(module)
    return module
