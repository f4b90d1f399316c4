"""The whole way at smoke size, uninterrupted and killed in every kind of stage."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

POLICIES = {"sft", "sft_success", "qsft"}


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "vlm_qsft.cli.main", "demo", "--preset", "smoke", "--workers", "2", "--out", str(out)]


def run_demo(out: Path) -> str:
    result = subprocess.run(command(out), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def kill_when(out: Path, appears: Path) -> None:
    """Start the demo and SIGKILL it as soon as a file or folder exists."""
    process = subprocess.Popen(command(out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not appears.exists():
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
            pytest.fail(f"ended before {appears} was there: {process.communicate()[0]}")
    process.send_signal(signal.SIGKILL)
    process.communicate()


def results_of(out: Path) -> dict[str, Any]:
    summary = json.loads((out / "summary.json").read_text())
    return {"policies": summary["policies"], "data": summary["data"], "comparisons": summary["comparisons"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "run"
    run_demo(out)
    return out


def test_the_demo_leaves_a_summary_with_every_promised_number(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["policies"].keys() == POLICIES
    for policy in summary["policies"].values():
        low, high = policy["interval"]
        assert 0.0 <= low <= policy["success_rate"] <= high <= 1.0
        assert 0.0 <= policy["wrong_object_rate"] <= 1.0
        assert policy["episodes"] == 4
        assert len(policy["tuning"]) >= 1
    assert summary["data"]["episodes"] == 24
    assert summary["wall_s"] > 0 and summary["peak_rss_gb"] > 0
    assert {"python", "torch", "mujoco"} <= summary["versions"].keys()
    assert summary["seeds"].keys() == {"training", "recording", "tuning", "evaluation"}
    assert summary["command"].startswith("main.py demo --preset smoke")


def test_the_demo_leaves_a_report_and_three_checkpoints(finished: Path) -> None:
    assert (finished / "report.html").read_text().startswith("<!DOCTYPE html>")
    for phase in ("behavior", "sft_success", "q"):
        assert (finished / phase / "policy" / "manifest.json").is_file()
        assert (finished / phase / "policy" / "policy.json").is_file()
        assert (finished / phase / "metrics.jsonl").is_file()


def test_a_finished_demo_does_nothing_again(finished: Path) -> None:
    before = (finished / "summary.json").read_bytes()
    printed = run_demo(finished)
    assert printed.count(": complete") == 8
    assert (finished / "summary.json").read_bytes() == before


def test_a_policy_of_the_demo_is_evaluated_at_its_chosen_setting(finished: Path, tmp_path: Path) -> None:
    """The first scenes of `qsft evaluate` are those of the demo, so the results are equal line by line."""
    out = tmp_path / "results.jsonl"
    words = ["evaluate", str(finished / "q" / "policy"), "--episodes", "2", "--workers", "1", "--out", str(out)]
    result = subprocess.run([sys.executable, "-m", "vlm_qsft.cli.main", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    final = finished / "evaluation" / "qsft" / "final.jsonl"
    assert out.read_text().splitlines() == final.read_text().splitlines()[:2]


def test_killed_in_every_kind_of_stage_the_demo_gives_the_same_result(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for appears in ("data", "behavior/metrics.jsonl", "q/metrics.jsonl", "evaluation/sft_success/final.jsonl"):
        kill_when(out, out / appears)
    run_demo(out)
    assert results_of(out) == results_of(finished)


def test_a_damaged_data_set_stops_the_demo_with_one_line(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished / "data", out / "data")
    for name in ("settings.json", "run.json", "stages/record.json"):
        (out / name).parent.mkdir(exist_ok=True)
        shutil.copy(finished / name, out / name)
    parquet = next((out / "data" / "data").rglob("*.parquet"))
    parquet.write_bytes(parquet.read_bytes()[:-100])
    result = subprocess.run(command(out), capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert parquet.name in result.stderr
