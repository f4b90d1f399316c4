"""Learning curves of every phase, the ones that matter most first, every other logged metric folded away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vlm_qsft.report.charts.axes import LegendEntry, PlotArea, draw_figure
from vlm_qsft.report.charts.line import Line, draw_lines
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import padded_range
from vlm_qsft.report.learning_charts import FIRST_SHOWN, NLL, PlannedChart, plan_other
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.phase_metrics import Curve, PhaseMetrics
from vlm_qsft.report.sections.block import draw_card, draw_missing, draw_section, draw_unreadable

PHASE_TITLES = {
    "behavior": "Behavior phase · SFT on all logged actions",
    "sft_success": "Behavior phase · SFT on successful episodes only",
    "q": "Q phase · likelihood model",
}
AREA = PlotArea(height=230.0)
RISEN = 1.01  # times the lowest number: a rise worth a word


def draw_learning(phases: Mapping[str, PhaseMetrics | Missing]) -> str:
    """Return the section of learning curves; phases by folder name."""
    blocks = [_draw_phase(folder, phase) for folder, phase in phases.items()]
    lead = (
        "Solid: training batches, what the optimiser saw. Dashed: held-out episodes, measured now and then. "
        "Everything is read from metrics.jsonl of the phase."
    )
    return draw_section("learning", "Learning curves", lead, *blocks)


def _draw_phase(folder: str, phase: PhaseMetrics | Missing) -> str:
    title = PHASE_TITLES.get(folder, folder)
    if isinstance(phase, Missing):
        return draw_card(title, draw_missing(phase))
    logged = phase.metrics()
    first = [chart for chart in FIRST_SHOWN.get(folder, (NLL,)) if any(metric in logged for metric in chart.metrics)]
    shown = {metric for chart in first for metric in chart.metrics}
    others = [plan_other(metric) for metric in logged if metric not in shown]
    blocks = [_draw_charts(phase, first) if first else ""]
    if others:
        plural = "s" if len(others) > 1 else ""
        summary = element("summary", text(f"{len(others)} more logged metric{plural}"))
        blocks.append(element("details", summary, _draw_charts(phase, others), open=not first))
    blocks.append(draw_unreadable(phase.unreadable, f"{folder}/metrics.jsonl"))
    return draw_card(title, *blocks)


def _draw_charts(phase: PhaseMetrics, charts: Sequence[PlannedChart]) -> str:
    return element("div", *(_draw_chart(phase, chart) for chart in charts), class_="charts")


def _draw_chart(phase: PhaseMetrics, planned: PlannedChart) -> str:
    curves = [curve for metric in planned.metrics for curve in phase.of(metric)]
    lines = [_line(curve, planned) for curve in curves]
    last_step = max(curve.steps[-1] for curve in curves)
    numbers = [number for curve in curves for number in curve.numbers]
    fitted = padded_range(numbers, include=(0.0,)) if planned.from_zero else None
    chart = draw_lines(
        lines,
        description=f"{planned.title}, {phase.folder} phase",
        x_label="optimiser step",
        y_label=planned.axis,
        x_range=(0.0, last_step) if last_step > 0 else None,
        y_range=planned.y_range or fitted,
        write_y=planned.write,
        area=AREA,
    )
    return draw_figure(
        planned.title, chart, caption=planned.meaning, legend=_legend(lines, planned), note=_read(curves, planned)
    )


def _line(curve: Curve, planned: PlannedChart) -> Line:
    is_train = curve.split == "train"
    number = list(planned.metrics).index(curve.metric)
    is_alone = len(planned.metrics) == 1
    series = f"series-{number + (0 if is_train or not is_alone else 1)}"
    label = curve.split if is_alone else f"{planned.metrics[curve.metric]}, {curve.split}"
    return Line(label, curve.steps, curve.numbers, series, dashed=not is_train)


def _legend(lines: Sequence[Line], planned: PlannedChart) -> list[LegendEntry]:
    """Return an entry per line, or, where several metrics share a chart, one per metric and one for the dashes."""
    if len(planned.metrics) == 1:
        return [line.legend_entry() for line in lines]
    entries = [LegendEntry(name, f"series-{number}") for number, name in enumerate(planned.metrics.values())]
    return [*entries, LegendEntry("validation", "plain", "dashed")]


def _read(curves: Sequence[Curve], planned: PlannedChart) -> str:
    """Return what the chart says in numbers: the end of every curve, and how validation got there."""
    parts = []
    for split in dict.fromkeys(curve.split for curve in curves):
        ends = {curve.metric: planned.write(curve.numbers[-1]) for curve in curves if curve.split == split}
        named = ", ".join(f"{planned.metrics[metric]} {end}" for metric, end in ends.items())
        parts.append(f"{split}: {named}" if len(planned.metrics) > 1 else f"{split} {', '.join(ends.values())}")
    sentences = [f"Last {'; '.join(parts)}."]
    held_out = [curve for curve in curves if curve.split != "train"]
    if planned.falls and held_out:
        sentences.append(_read_lowest(held_out[0], planned))
    averaged = max(curve.averaged for curve in curves)
    if averaged > 1:
        sentences.append(f"Each point of the longest line is the mean of {averaged} logged steps.")
    return " ".join(filter(None, sentences))


def _read_lowest(curve: Curve, planned: PlannedChart) -> str:
    lowest, step = min(zip(curve.numbers, curve.steps, strict=True))
    if curve.numbers[-1] <= lowest * RISEN or lowest <= 0:
        return ""
    return f"Validation was lowest, {planned.write(lowest)}, at step {step:,.0f} and has risen since: it overfits."
