"""SIGKILL at every step that the file system sees, and a full disk: the old set or the new one, never a mixture."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qsft_datasets.labeling import LabelRequest, label_dataset
from vlm_qsft.data import DatasetReader
from vlm_qsft.errors import DatasetError

from .kill_everywhere import digest
from .sets import content

SCRIPT = Path(__file__).with_name("kill_everywhere.py")


@pytest.mark.timeout(1200)  # about sixty processes
def test_killed_at_any_step_it_continues_to_the_same_bytes(pristine: Path, tmp_path: Path):
    whole = Path(shutil.copytree(pristine, tmp_path / "whole"))
    label_dataset(whole, LabelRequest(rule="vgps", gamma=0.9, counterfactual=1.0))
    words = [sys.executable, str(SCRIPT), str(pristine), str(tmp_path), "vgps", "1.0"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    runs = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(runs) > 20
    assert [status for _, status, *_ in runs] == [-9] * (len(runs) - 1) + [0]
    for step, _, seen, after in runs:
        assert seen in (2, 3), f"killed at step {step}, the second run failed"
        assert after == digest(whole), f"killed at step {step}, the result has other bytes"
    # Refused with a reason between the first rename and the last, readable otherwise.
    assert sum(seen == 3 for _, _, seen, _ in runs) in range(1, 6)


def test_an_exchange_that_was_interrupted_is_named(root: Path):
    (root / "relabeling").mkdir()
    (root / "relabeling/ready").write_bytes(b"")
    (root / "meta").rename(root / "relabeling/new")
    with pytest.raises(DatasetError, match=r"interrupted while its labels were exchanged. Run the same `qsft label`"):
        DatasetReader(root)


def test_a_full_disk_leaves_the_set_as_it_was_and_the_same_command_continues(root: Path):
    before = content(root)
    words = [sys.executable, "-m", "vlm_qsft.cli.main", "label", str(root), "--rule", "vgps"]
    largest = 8_000
    process = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
    )
    assert process.returncode == 2, process.stderr
    assert "could not be written" in process.stderr and process.stderr.count("\n") == 1
    left = content(root)
    assert {name: left[name] for name in before} == before
    assert not [name for name in left if name.endswith(".partial")]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert not (root / "relabeling").exists()
    assert DatasetReader(root).metadata.labels is not None


def test_leftovers_of_another_request_are_not_taken_over(root: Path, tmp_path: Path):
    whole = Path(shutil.copytree(root, tmp_path / "whole"))
    label_dataset(whole, LabelRequest(rule="vgps"))
    foreign = root / "relabeling/new/data/chunk-000/file-000.parquet"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"of another request")
    (root / "relabeling/plan.json").write_text('{"labels": "another", "data": "another"}')
    label_dataset(root, LabelRequest(rule="vgps"))
    assert content(root) == content(whole)
