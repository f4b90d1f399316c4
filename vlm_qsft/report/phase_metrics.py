"""The learning curves of one phase, from its `metrics.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm_qsft.report.missing import Missing, as_number, read_json_lines

NOT_METRICS = frozenset({"step", "phase", "split"})
MOST_POINTS = 240  # more are not visible on a chart 460 wide; neighbours are averaged


@dataclass(frozen=True)
class Curve:
    """One metric on one split over optimiser steps.

    Attributes:
        metric: its key in `metrics.jsonl`.
        split: "train" or "validation".
        steps: optimiser steps, ascending.
        numbers: the metric at each step, in its own unit.
        averaged: how many logged numbers each point is the mean of, 1 when every one is shown.
    """

    metric: str
    split: str
    steps: tuple[float, ...]
    numbers: tuple[float, ...]
    averaged: int


@dataclass(frozen=True)
class PhaseMetrics:
    """Every curve of one phase folder; `unreadable` lines were left out."""

    folder: str
    curves: tuple[Curve, ...]
    unreadable: int

    def metrics(self) -> tuple[str, ...]:
        """Return the names of the metrics in the order in which they first appear."""
        return tuple(dict.fromkeys(curve.metric for curve in self.curves))

    def of(self, metric: str) -> tuple[Curve, ...]:
        """Return the curves of one metric: train, validation, whatever was logged."""
        return tuple(curve for curve in self.curves if curve.metric == metric)


def load_phase_metrics(run_folder: Path, phase_folder: str) -> PhaseMetrics | Missing:
    """Return the curves of `run_folder/phase_folder/metrics.jsonl`, or why there are none.

    A step that was logged twice, because the phase was resumed from an earlier checkpoint, keeps its last number.
    """
    lines = read_json_lines(run_folder / phase_folder / "metrics.jsonl", run_folder=run_folder)
    if isinstance(lines, Missing):
        return lines
    numbers: dict[tuple[str, str], dict[float, float]] = {}
    for line in lines.objects:
        step = as_number(line.get("step"))
        if not math.isfinite(step):
            continue
        split = str(line.get("split", "train"))
        for metric, content in line.items():
            number = as_number(content)
            if metric not in NOT_METRICS and math.isfinite(number):
                numbers.setdefault((metric, split), {})[step] = number
    if not numbers:
        return Missing(f"{phase_folder}/metrics.jsonl holds no metric.")
    curves = [_thin(metric, split, by_step) for (metric, split), by_step in numbers.items()]
    return PhaseMetrics(phase_folder, tuple(curves), lines.unreadable)


def _thin(metric: str, split: str, by_step: dict[float, float]) -> Curve:
    steps = sorted(by_step)
    group = math.ceil(len(steps) / MOST_POINTS)
    groups = [steps[start : start + group] for start in range(0, len(steps), group)]
    return Curve(
        metric, split,
        tuple(_mean(members) for members in groups),
        tuple(_mean([by_step[step] for step in members]) for members in groups),
        group,
    )  # fmt: skip


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
