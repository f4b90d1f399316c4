from __future__ import annotations

import json
from pathlib import Path

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
