from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vlm_qsft.cli.usage_meter import UsageMeter, process_tree_rss_gb
from vlm_qsft.errors import DatasetError

HUNDRED_MB = 100_000_000


def test_memory_of_a_child_counts() -> None:
    before_gb = process_tree_rss_gb()
    program = f"block = b'x' * {HUNDRED_MB}; print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during_gb = process_tree_rss_gb()
        child.communicate(b"\n")
    assert during_gb - before_gb > 0.1


def test_a_run_that_is_continued_adds_its_time_and_keeps_its_peak(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    path.write_text('{"wall_s": 1000.0, "peak_rss_gb": 77.0}')
    with UsageMeter(path) as meter:
        usage = meter.usage()
    assert 1000.0 < usage.wall_s < 1060.0
    assert usage.peak_rss_gb == 77.0
    with UsageMeter(path) as again:
        assert again.usage().wall_s > usage.wall_s


@pytest.mark.parametrize("content", ['{"wall_s": 10', "{}", '{"wall_s": "long", "peak_rss_gb": 1}'])
def test_a_damaged_account_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "usage.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"usage\.json is no"):
        UsageMeter(path)
