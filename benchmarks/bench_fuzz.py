"""Mutated inputs for every parser of foreign formats: what `make fuzz` runs, and a record of how it ended.

    python benchmarks/bench_fuzz.py --inputs 100000 --out runs/bench/fuzz.json

Each parser is fuzzed in a pytest process of its own, and the record is written after each of them: one that was
interrupted says what is complete. A failure names the seed of its input; the seed of the whole run is fixed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_convert import ROOT, machine

PARSERS = {
    "rlds": ("tests/datasets/rlds", 1),
    "lerobot": ("tests/datasets/lerobot", 1),
    "mapping files": ("tests/datasets/test_mapping_files.py", 1),
    "rosbag": ("tests/datasets/rosbag", 5),
    "hdf5": ("tests/datasets/hdf5", 5),
}
"""Parser -> its tests, and by how much its share of the inputs is smaller because one takes longer."""
SEED = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz every parser, write the record, and return 1 where one has failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="per parser; a fifth for bags and HDF5 files")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/fuzz.json"), help="JSON file to write")
    chosen = parser.parse_args(arguments)
    words = " ".join(sys.argv[1:] if arguments is None else arguments)
    record: dict[str, Any] = {
        "command": f"benchmarks/bench_fuzz.py {words}".rstrip(),
        "machine": machine(("hypothesis", "pyarrow", "h5py", "rosbags", "numpy")),
        "seed": SEED,
        "parsers": {},
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    for name, (tests, divisor) in PARSERS.items():
        print(f"{name}: {chosen.inputs // divisor} inputs", flush=True)
        record["parsers"][name] = {"inputs": chosen.inputs // divisor, **fuzzed(tests, chosen.inputs)}
        chosen.out.write_text(json.dumps(record, indent=2) + "\n")
        print(f"  {record['parsers'][name]['outcome']}", flush=True)
    print(chosen.out)
    return int(any(not parser["passed"] for parser in record["parsers"].values()))


def fuzzed(tests: str, inputs: int) -> dict[str, Any]:
    """Run the fuzz tests of a parser and return how they ended, their time and the processor time of all processes."""
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-m", "fuzz", "--timeout=0", f"--hypothesis-seed={SEED}"]
    environment = os.environ | {"QSFT_FUZZ_INPUTS": str(inputs), "OMP_NUM_THREADS": "1"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.run([*command, tests], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        print(process.stdout, file=sys.stderr)
    closing = process.stdout.strip().splitlines()[-1] if process.stdout.strip() else process.stderr.strip()
    return {
        "passed": process.returncode == 0,
        "outcome": re.sub(r",? \d+ deselected| in [\d.]+s.*", "", closing).strip("= "),
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
