"""Which logged metrics share a chart, how the chart is labelled, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vlm_qsft.report.charts.scale import write_number, write_percent


@dataclass(frozen=True)
class PlannedChart:
    """A chart of metrics that share a unit.

    Attributes:
        title: what it shows.
        axis: label of the vertical axis, with its unit.
        metrics: key in `metrics.jsonl` -> name in the legend.
        meaning: what a good and a bad curve look like.
        y_range: fixed range of the axis; None fits it to the curves.
        from_zero: a fitted range begins at zero, for shares and values that nothing is below.
        write: how numbers of the axis are written.
        falls: a lower number is better, so that the lowest one is worth a word.
    """

    title: str
    axis: str
    metrics: dict[str, str]
    meaning: str = ""
    y_range: tuple[float, float] | None = None
    from_zero: bool = False
    write: Callable[[float], str] = field(default=write_number)
    falls: bool = False


_OVERFITS = "Validation that rises while training falls is overfitting."

NLL = PlannedChart(
    "Negative log-likelihood of logged actions",
    "nats per action token",
    {"nll": "NLL"},
    f"How much the next logged token surprises the policy. {_OVERFITS}",
    falls=True,
)
ACCURACY = PlannedChart(
    "Logged bin is the likeliest",
    "share of action tokens",
    {"accuracy": "accuracy"},
    "Logs of mixed quality cannot be predicted exactly: this levels off below 100 %.",
    y_range=(0.0, 1.0),
    write=write_percent,
)
LOSS = PlannedChart("Loss", "nats per action token", {"loss": "loss"}, falls=True)
Q_LOSS = PlannedChart(
    "Q loss",
    "cross-entropy, nats per token",
    {"loss": "loss"},
    f"Cross-entropy with the target on the logged bin and the rest on the dummy token. {_OVERFITS}",
    falls=True,
)
Q_VALUES = PlannedChart(
    "Values against their targets",
    "mean, a return of 0 to 1",
    {"mean_target": "target", "value": "value V(s)", "logged_action_value": "Q-value of logged actions"},
    "The values must rise to the level of the targets and stay there; above it they are invented.",
    from_zero=True,
)
Q_SPREAD = PlannedChart(
    "Q-values of logged actions",
    "likelihood ratio",
    {"ratio_q95": "95 % quantile", "ratio_q50": "median", "ratio_q05": "5 % quantile"},
    "A wide band tells good logged actions from bad ones; a narrow one has learned one value for all. "
    "No return reaches a ratio above 1.",
    from_zero=True,
)
Q_LIMITS = PlannedChart(
    "Numbers at their limit",
    "share of action tokens",
    {"share_saturated": "saturated targets", "share_capped": "capped ratios"},
    "Targets at 1: a backup that saturates drives them to 100 %, and then every action looks equally good. "
    "Ratios above 1 are capped: they are noise of the two models.",
    from_zero=True,
    write=write_percent,
)

FIRST_SHOWN = {
    "behavior": (NLL, ACCURACY),
    "sft_success": (NLL, ACCURACY),
    "q": (Q_LOSS, Q_VALUES, Q_SPREAD, Q_LIMITS),
}
"""Phase folder -> charts that stand above the fold; every other logged metric gets a chart of its own below it."""


def plan_other(metric: str) -> PlannedChart:
    """Return the chart of a metric that no planned chart shows."""
    if metric == "loss":
        return LOSS
    name = metric.replace("_", " ")
    return PlannedChart(name.capitalize(), name, {metric: name})
