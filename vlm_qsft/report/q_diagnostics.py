"""What the Q phase says about its own values: the distribution of targets and the calibration."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

from vlm_qsft.report.charts.calibration import CalibrationBin
from vlm_qsft.report.missing import Missing, as_number, read_json_object


@dataclass(frozen=True)
class TargetDistribution:
    """How often each target occurs: `edges` ascending in [0, 1], one more than `counts`."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """Predicted value against realised return; `expected_error` is the expected calibration error (ECE)."""

    bins: tuple[CalibrationBin, ...]
    expected_error: float


def load_targets(run_folder: Path) -> TargetDistribution | Missing:
    """Return `q/targets.json`, or why it cannot be shown."""
    content = read_json_object(run_folder / "q" / "targets.json", run_folder=run_folder)
    if isinstance(content, Missing):
        return content
    edges, counts = _numbers(content.get("edges")), _numbers(content.get("counts"))
    ascending = all(low < high for low, high in itertools.pairwise(edges))
    if len(edges) != len(counts) + 1 or not ascending or min(counts, default=0.0) < 0 or sum(counts) <= 0:
        return Missing("q/targets.json does not hold ascending edges, one more than counts, and a count above zero.")
    return TargetDistribution(edges, counts)


def load_calibration(run_folder: Path) -> Calibration | Missing:
    """Return `q/calibration.json`, or why it cannot be shown."""
    content = read_json_object(run_folder / "q" / "calibration.json", run_folder=run_folder)
    if isinstance(content, Missing):
        return content
    listed = content.get("bins")
    bins: list[CalibrationBin] = []
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict):
            continue
        predicted, realised, count = (as_number(one.get(key)) for key in ("predicted", "realised", "count"))
        if math.isfinite(predicted) and math.isfinite(realised) and count > 0:
            bins.append(CalibrationBin(predicted, realised, int(count)))
    if not bins:
        return Missing("q/calibration.json holds no bin with a prediction, a realised return and a count.")
    return Calibration(tuple(sorted(bins, key=lambda one: one.predicted)), as_number(content.get("ece")))


def _numbers(content: object) -> tuple[float, ...]:
    numbers = tuple(as_number(one) for one in content) if isinstance(content, list) else ()
    return numbers if all(math.isfinite(number) for number in numbers) else ()
