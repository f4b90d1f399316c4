"""What the Q phase says about its own values: the distribution of targets and the calibration."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

from qsft_sim.statistics import wilson_interval
from vlm_qsft.report.charts.calibration import CalibrationBin
from vlm_qsft.report.missing import Missing, as_number, read_json_object


@dataclass(frozen=True)
class TargetDistribution:
    """How often each target occurs: `edges` ascending in [0, 1], one more than `counts`."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]

    def share(self, number: int) -> float:
        """Return the share of all targets in one bin; -1 is the last."""
        return self.counts[number] / sum(self.counts)


@dataclass(frozen=True)
class Calibration:
    """Predicted value against realised return.

    Attributes:
        bins: by predicted value.
        expected_error: expected calibration error (ECE): mean distance of the two over all frames; NaN when unknown.
        correlation: of the two over all frames, Pearson; NaN when unknown.
    """

    bins: tuple[CalibrationBin, ...]
    expected_error: float
    correlation: float

    @property
    def frames(self) -> int:
        """Frames that it was measured on."""
        return sum(one.count for one in self.bins)

    @property
    def bias(self) -> float:
        """Mean of predicted less realised over all frames: above 0 the values are too high."""
        return sum(one.count * (one.predicted - one.realised) for one in self.bins) / self.frames


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
        if math.isfinite(predicted) and 0 <= realised <= 1 and count >= 1:
            interval = wilson_interval(realised * int(count), int(count))
            bins.append(CalibrationBin(predicted, realised, int(count), interval))
    if not bins:
        return Missing("q/calibration.json holds no bin with a prediction, a realised return and a count.")
    ranked = tuple(sorted(bins, key=lambda one: one.predicted))
    return Calibration(ranked, as_number(content.get("ece")), as_number(content.get("correlation")))


def _numbers(content: object) -> tuple[float, ...]:
    numbers = tuple(as_number(one) for one in content) if isinstance(content, list) else ()
    return numbers if all(math.isfinite(number) for number in numbers) else ()
