"""Learning curves of every phase, the ones that matter most first, every other logged metric folded away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vlm_qsft.report.charts.axes import draw_figure
from vlm_qsft.report.charts.line import Line, draw_lines
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_number, write_percent
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.phase_metrics import Curve, PhaseMetrics
from vlm_qsft.report.sections.block import draw_card, draw_missing, draw_section, draw_unreadable

PHASE_TITLES = {
    "behavior": "Behavior phase · SFT on all logged actions",
    "sft_success": "Behavior phase · SFT on successful episodes only",
    "q": "Q phase · likelihood model",
}


@dataclass(frozen=True)
class KnownMetric:
    """How a metric is presented: title, label of the axis with its unit, fixed range of the axis."""

    title: str
    axis: str
    y_range: tuple[float, float] | None = None
    write: Callable[[float], str] = write_number


NLL = KnownMetric("Negative log-likelihood of logged actions", "nats per action token")
BEHAVIOR_METRICS = {
    "nll": NLL,
    "accuracy": KnownMetric("Logged bin is the likeliest", "share of tokens", (0.0, 1.0), write_percent),
    "loss": KnownMetric("Behavior loss", "loss, nats per action token"),
}
Q_METRICS = {
    "q_loss": KnownMetric("Q loss", "weighted cross-entropy, nats"),
    "loss": KnownMetric("Q loss", "weighted cross-entropy, nats"),
    "mean_target": KnownMetric("Mean target", "target (a return, 0 to 1)", (0.0, 1.0)),
    "share_saturated": KnownMetric("Saturated targets", "share of targets at 1", (0.0, 1.0), write_percent),
    "value": KnownMetric("Mean value V(s)", "value, 0 to 1", (0.0, 1.0)),
    "logged_action_value": KnownMetric("Value of logged actions", "Q-value, 0 to 1", (0.0, 1.0)),
}
FIRST_SHOWN = {"behavior": 2, "sft_success": 2, "q": 4}


def draw_learning(phases: Mapping[str, PhaseMetrics | Missing]) -> str:
    """Return the section of learning curves; phases by folder name."""
    blocks = [_draw_phase(folder, phase) for folder, phase in phases.items()]
    lead = (
        "Every curve is read from metrics.jsonl of its phase. "
        "Train is what the optimiser saw, validation are held-out episodes."
    )
    return draw_section("learning", "Learning curves", lead, *blocks)


def _draw_phase(folder: str, phase: PhaseMetrics | Missing) -> str:
    title = PHASE_TITLES.get(folder, folder)
    if isinstance(phase, Missing):
        return draw_card(title, draw_missing(phase))
    known = Q_METRICS if folder == "q" else BEHAVIOR_METRICS
    logged = phase.metrics()
    first = [metric for metric in known if metric in logged][: FIRST_SHOWN.get(folder, 4)]
    others = [metric for metric in logged if metric not in first]
    blocks = [_draw_charts(phase, first, known) if first else ""]
    if others:
        summary = element("summary", text(f"{len(others)} more logged metrics"))
        blocks.append(element("details", summary, _draw_charts(phase, others, known), open=not first))
    blocks.append(draw_unreadable(phase.unreadable, f"{folder}/metrics.jsonl"))
    return draw_card(title, *blocks)


def _draw_charts(phase: PhaseMetrics, metrics: list[str], known: Mapping[str, KnownMetric]) -> str:
    charts = (_draw_metric(phase, metric, known.get(metric, _unknown(metric))) for metric in metrics)
    return element("div", *charts, class_="charts")


def _unknown(metric: str) -> KnownMetric:
    return KnownMetric(metric.replace("_", " "), metric.replace("_", " "))


def _draw_metric(phase: PhaseMetrics, metric: str, known: KnownMetric) -> str:
    curves = phase.of(metric)
    lines = [_line(curve) for curve in curves]
    chart = draw_lines(
        lines, description=f"{known.title}, {phase.folder} phase", x_label="optimiser step", y_label=known.axis,
        y_range=known.y_range, write_y=known.write,
    )  # fmt: skip
    averaged = max(curve.averaged for curve in curves)
    note = f"Each point of the longest line is the mean of {averaged} logged steps." if averaged > 1 else ""
    return draw_figure(known.title, chart, legend=[line.legend_entry() for line in lines], note=note)


def _line(curve: Curve) -> Line:
    is_train = curve.split == "train"
    return Line(curve.split, curve.steps, curve.numbers, "series-0" if is_train else "series-1", dashed=not is_train)
