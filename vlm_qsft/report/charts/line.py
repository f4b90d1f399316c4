"""Lines over a common axis: learning curves and the value along an episode."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlm_qsft.report.charts.axes import LegendEntry, PlotArea, draw_axes, draw_canvas
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import Scale, padded_range, write_number

MARKED_POINTS = 30  # more than this many dots hide the line they sit on


@dataclass(frozen=True)
class Line:
    """One series of a line chart.

    Attributes:
        label: name in the legend.
        x, y: as many numbers each; a y that is not finite leaves a gap.
        series: class of the colour.
        dashed: told apart without colour.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    series: str
    dashed: bool = False

    def legend_entry(self) -> LegendEntry:
        """Return how the legend names this line."""
        return LegendEntry(self.label, self.series, "dashed" if self.dashed else "line")


def draw_lines(
    lines: Sequence[Line],
    *,
    description: str,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    write_y: Callable[[float], str] = write_number,
    area: PlotArea = PlotArea(),  # noqa: B008  frozen
    cursor: bool = False,
) -> str:
    """Return a line chart as SVG.

    Args:
        lines: at least one; drawn in order, so the last lies on top.
        description: what a screen reader says.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        x_range: fixed range; otherwise from the first to the last number.
        y_range: fixed range; otherwise the finite numbers with some air.
        write_y: how the ticks of y are written.
        area: size.
        cursor: add a vertical line that a script moves; its `data-` attributes give the ends of x.
    """
    xs = [number for line in lines for number in line.x]
    low_x, high_x = x_range or ((min(xs), max(xs)) if xs else (0.0, 1.0))
    if low_x == high_x:
        low_x, high_x = low_x - 1, high_x + 1
    low_y, high_y = y_range or padded_range([number for line in lines for number in line.y])
    x, y = area.x_scale(low_x, high_x), area.y_scale(low_y, high_y)
    parts = [draw_axes(area, x, y, x_label=x_label, y_label=y_label, write_y=write_y)]
    parts += [_draw_line(line, x, y, write_y) for line in lines]
    if cursor:
        parts.append(
            element(
                "line",
                class_="cursor",
                x1=x.start,
                x2=x.start,
                y1=y.end,
                y2=y.start,
                data_start=x.start,
                data_end=x.end,
                data_low=float(x.low),
                data_high=float(x.high),
            )
        )
    return draw_canvas(area, *parts, description=description)


def _draw_line(line: Line, x: Scale, y: Scale, write_y: Callable[[float], str]) -> str:
    commands: list[str] = []
    dots: list[str] = []
    finite = [(a, b) for a, b in zip(line.x, line.y, strict=True) if math.isfinite(b)]
    pen_down = False
    for number_x, number_y in zip(line.x, line.y, strict=True):
        if not math.isfinite(number_y):
            pen_down = False
            continue
        at = min(max(number_y, y.low), y.high)
        commands.append(f"{'L' if pen_down else 'M'}{x.position(number_x):.1f} {y.position(at):.1f}")
        pen_down = True
    if len(finite) <= MARKED_POINTS:
        for number_x, number_y in finite:
            tip = element("title", text(f"{line.label}: {write_y(number_y)} at {write_number(number_x)}"))
            at = y.position(min(max(number_y, y.low), y.high))
            dots.append(element("circle", tip, class_=f"dot {line.series}", cx=x.position(number_x), cy=at, r=2.6))
    dashed = " dashed" if line.dashed else ""
    tip = element("title", text(line.label))
    path = element("path", tip, class_=f"stroke {line.series}{dashed}", d="".join(commands), fill="none")
    return path + "".join(dots)
