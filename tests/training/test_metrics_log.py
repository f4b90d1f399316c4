from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlm_qsft.training.metrics_log import MetricsLog


def test_a_resumed_log_drops_what_came_after_its_checkpoint_and_a_line_that_was_cut_off(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, phase="behavior", step=0) as log:
        for step in (10, 20, 30):
            log.write(step, "train", {"loss": float(step)})
    path = tmp_path / "metrics.jsonl"
    with path.open("a") as file:
        file.write('{"step": 40, "lo')
    with MetricsLog(tmp_path, phase="behavior", step=20) as log:
        log.write(30, "train", {"loss": 3.5})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(10, 10.0), (20, 20.0), (30, 3.5)]
    assert all(line["phase"] == "behavior" and line["split"] == "train" for line in lines)


@pytest.mark.parametrize("damage", [b"\x00\x00\x00\n", b"\xff\n", b"[]\n", b"{}\n"])
def test_a_resumed_log_drops_what_never_came_to_the_disk(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 10}\n' + damage + b'{"step": 20}\n')
    MetricsLog(tmp_path, phase="behavior", step=20).__exit__(None, None, None)
    assert path.read_bytes() == b'{"step": 10}\n'
