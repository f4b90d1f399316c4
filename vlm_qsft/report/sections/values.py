"""Whether the learned values can be believed: distribution of targets and calibration."""

from __future__ import annotations

import math

from vlm_qsft.report.charts.axes import LegendEntry, draw_figure
from vlm_qsft.report.charts.calibration import draw_calibration
from vlm_qsft.report.charts.histogram import draw_histogram
from vlm_qsft.report.charts.markup import element
from vlm_qsft.report.charts.scale import write_percent
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.q_diagnostics import Calibration, TargetDistribution
from vlm_qsft.report.sections.block import draw_card, draw_missing, draw_section


def draw_values(targets: TargetDistribution | Missing, calibration: Calibration | Missing) -> str:
    """Return the section about the learned values."""
    lead = (
        "A target is the label weight of a logged action, its Bellman backup. Targets that all sit at 1 teach nothing. "
        "On the diagonal of the calibration plot, states valued 0.6 return 0.6 on average."
    )
    cards = element("div", _draw_targets(targets), _draw_calibration(calibration), class_="columns")
    return draw_section("values", "Learned values", lead, cards)


def _draw_targets(targets: TargetDistribution | Missing) -> str:
    if isinstance(targets, Missing):
        return draw_card("Distribution of targets", draw_missing(targets), wide=False)
    chart = draw_histogram(
        targets.edges, targets.counts, description="Distribution of targets", x_label="target (a return, 0 to 1)",
        series="series-0",
    )  # fmt: skip
    total = sum(targets.counts)
    last = targets.counts[-1] / total
    note = (
        f"{total:,.0f} targets in {len(targets.counts)} bins; "
        f"{write_percent(last)} in the last, {targets.edges[-2]:.2f} to {targets.edges[-1]:.2f}."
    )
    return draw_card("", draw_figure("Distribution of targets", chart, note=note), wide=False)


def _draw_calibration(calibration: Calibration | Missing) -> str:
    if isinstance(calibration, Missing):
        return draw_card("Calibration of the value", draw_missing(calibration), wide=False)
    chart = draw_calibration(calibration.bins, description="Predicted value against realised return", series="series-0")
    frames = sum(one.count for one in calibration.bins)
    error = calibration.expected_error
    measured = f"Expected calibration error {error:.3f} over" if math.isfinite(error) else "Measured on"
    legend = [LegendEntry("bin of predicted values, area ∝ frames", "series-0", "dot"),
              LegendEntry("perfectly calibrated", "baseline", "dashed")]  # fmt: skip
    note = f"{measured} {frames:,} frames."
    return draw_card("", draw_figure("Calibration of the value", chart, legend=legend, note=note), wide=False)
