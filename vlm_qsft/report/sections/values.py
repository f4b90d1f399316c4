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

UNBIASED = 0.02  # a mean difference that is not worth a word


def draw_values(targets: TargetDistribution | Missing, calibration: Calibration | Missing) -> str:
    """Return the section about the learned values."""
    lead = (
        "What the likelihood model was taught, and whether what it says of a state is what episodes from there return. "
        "Both are measured on held-out episodes after the last step of the Q phase."
    )
    cards = element("div", _draw_targets(targets), _draw_calibration(calibration), class_="columns")
    return draw_section("values", "Learned values", lead, cards)


def _draw_targets(targets: TargetDistribution | Missing) -> str:
    title = "Distribution of targets"
    if isinstance(targets, Missing):
        return draw_card(title, draw_missing(targets), wide=False)
    caption = (
        "A target is the label weight of a logged action: how much of the label the action keeps, the rest goes to "
        "the dummy token. 0: nothing came of it. Mass near 1 everywhere would teach nothing."
    )
    chart = draw_histogram(
        targets.edges, targets.counts, description=title, x_label="target (a return, 0 to 1)",
        y_label="share of action tokens", series="series-0",
    )  # fmt: skip
    first, last, edges = targets.share(0), targets.share(-1), targets.edges
    note = (
        f"{sum(targets.counts):,.0f} targets in {len(targets.counts)} bins: "
        f"{write_percent(first)} in the first ({edges[0]:.2f} to {edges[1]:.2f}), "
        f"{write_percent(last)} in the last ({edges[-2]:.2f} to {edges[-1]:.2f})."
    )
    return draw_card("", draw_figure(title, chart, caption=caption, note=note), wide=False)


def _draw_calibration(calibration: Calibration | Missing) -> str:
    title = "Calibration of the value"
    if isinstance(calibration, Missing):
        return draw_card(title, draw_missing(calibration), wide=False)
    caption = (
        "Frames sorted by the value the model gives them, against the return their episodes went on to have. "
        "On the diagonal a value of 0.6 returns 0.6; below it the policy hopes for too much."
    )
    chart = draw_calibration(calibration.bins, description="Predicted value against realised return", series="series-0")
    legend = [LegendEntry("frames of similar value, area ∝ their number, 95 % Wilson interval", "series-0", "dot"),
              LegendEntry("perfectly calibrated", "baseline", "dashed")]  # fmt: skip
    figure = draw_figure(title, chart, caption=caption, legend=legend, note=_read(calibration))
    return draw_card("", figure, wide=False)


def _read(calibration: Calibration) -> str:
    parts = [f"{calibration.frames:,} frames, taken as independent, which those of one episode are not."]
    if math.isfinite(calibration.expected_error):
        parts.append(f"Expected calibration error {calibration.expected_error:.3f}.")
    if math.isfinite(calibration.correlation):
        parts.append(f"Correlation of value and return {calibration.correlation:.2f}.")
    bias = calibration.bias
    if abs(bias) >= UNBIASED:
        parts.append(f"On average the value is too {'high' if bias > 0 else 'low'} by {abs(bias):.2f}.")
    return " ".join(parts)
