"""Intervals on a common axis, one thin strip per table row, so that a table reads as a chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import Scale, round_ticks, write_percent

WIDTH, ROW_HEIGHT, AXIS_HEIGHT, SIDE = 330.0, 50.0, 30.0, 18.0


@dataclass(frozen=True)
class IntervalAxis:
    """The axis that every row of a table shares.

    Attributes:
        low, high: its ends.
        label: what it measures, with its unit.
        baseline: number of the vertical dashed line through all rows, or None.
        write: how ticks are written.
    """

    low: float
    high: float
    label: str
    baseline: float | None = None
    write: Callable[[float], str] = write_percent

    def scale(self) -> Scale:
        """Return the horizontal scale of every strip on this axis."""
        return Scale(self.low, self.high, SIDE, WIDTH - SIDE)

    def ticks(self) -> list[float]:
        """Return the numbers that get a grid line."""
        return round_ticks(self.low, self.high, about=6)


def draw_interval_axis(axis: IntervalAxis) -> str:
    """Return the strip of the table head: ticks and the label of the axis."""
    scale = axis.scale()
    parts = [element("text", text(axis.label), class_="axis-label", x=WIDTH / 2, y=11.0, text_anchor="middle")]
    for tick in axis.ticks():
        at = scale.position(tick)
        parts.append(element("text", text(axis.write(tick)), class_="tick", x=at, y=26.0, text_anchor="middle"))
    return _strip(AXIS_HEIGHT, parts, axis.label)


def draw_interval(
    axis: IntervalAxis, center: float, interval: tuple[float, float] | None, *, series: str, description: str
) -> str:
    """Return the strip of one row: a dot at `center`, a bar over `interval` (both in the unit of the axis)."""
    scale, middle = axis.scale(), ROW_HEIGHT / 2
    parts: list[str] = []
    for tick in axis.ticks():
        at = scale.position(tick)
        parts.append(element("line", class_="grid", x1=at, x2=at, y1=0.0, y2=ROW_HEIGHT))
    if axis.baseline is not None:
        at = scale.position(axis.baseline)
        parts.append(element("line", class_="baseline", x1=at, x2=at, y1=0.0, y2=ROW_HEIGHT))
    if interval is not None:
        low, high = (scale.position(min(max(end, axis.low), axis.high)) for end in interval)
        bar = element(
            "rect", class_=f"fill {series}", x=low, y=middle - 5, width=max(high - low, 1.0), height=10.0, rx=5.0
        )
        parts.append(bar)
        for end in (low, high):
            parts.append(element("line", class_=f"stroke {series}", x1=end, x2=end, y1=middle - 8, y2=middle + 8))
    at = scale.position(min(max(center, axis.low), axis.high))
    parts.append(element("circle", class_=f"dot {series}", cx=at, cy=middle, r=5.5))
    return _strip(ROW_HEIGHT, parts, description)


def _strip(height: float, parts: Sequence[str], description: str) -> str:
    box = f"0 0 {WIDTH:g} {height:g}"
    title = element("title", text(description))
    return element("svg", title, *parts, viewBox=box, role="img", class_="strip", width=WIDTH, height=height)
