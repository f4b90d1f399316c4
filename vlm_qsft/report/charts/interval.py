"""Strips on a common axis, one per table row, so that a table reads as a chart: intervals and parts of a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import Scale, round_ticks, write_percent

WIDTH, ROW_HEIGHT, AXIS_HEIGHT, SIDE = 370.0, 50.0, 34.0, 18.0


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
    parts = [element("text", text(axis.label), class_="axis-label", x=WIDTH / 2, y=12.0, text_anchor="middle")]
    for tick in axis.ticks():
        at = scale.position(tick)
        parts.append(element("text", text(axis.write(tick)), class_="tick", x=at, y=29.0, text_anchor="middle"))
    return _strip(AXIS_HEIGHT, parts, axis.label)


def draw_interval(
    axis: IntervalAxis, center: float, interval: tuple[float, float] | None, *, series: str, description: str
) -> str:
    """Return the strip of one row: a dot at `center`, a bar over `interval` (both in the unit of the axis)."""
    scale, middle = axis.scale(), ROW_HEIGHT / 2
    parts = _grid(axis)
    if axis.baseline is not None:
        at = scale.position(axis.baseline)
        parts.append(element("line", class_="baseline", x1=at, x2=at, y1=0.0, y2=ROW_HEIGHT))
    if interval is not None:
        low, high = (_inside(axis, end) for end in interval)
        bar = element(
            "rect", class_=f"fill {series}", x=low, y=middle - 5, width=max(high - low, 1.0), height=10.0, rx=5.0
        )
        parts.append(bar)
        for end in (low, high):
            parts.append(element("line", class_=f"stroke {series}", x1=end, x2=end, y1=middle - 8, y2=middle + 8))
    parts.append(element("circle", class_=f"dot {series}", cx=_inside(axis, center), cy=middle, r=5.5))
    return _strip(ROW_HEIGHT, parts, description)


def draw_parts(
    axis: IntervalAxis,
    shares: Sequence[tuple[float, str]],
    interval: tuple[float, float],
    *,
    series: str,
    description: str,
) -> str:
    """Return the strip of one row: parts of a whole side by side from zero on.

    Args:
        axis: from 0 to 1.
        shares: (share, class of the filling) of every part but the rest.
        interval: of the first share.
        series: class of the colour.
        description: what a screen reader says.
    """
    scale, middle, begin = axis.scale(), ROW_HEIGHT / 2, 0.0
    whole = scale.position(1.0) - scale.position(0.0)
    parts = _grid(axis)
    parts.append(element("rect", class_="rest", x=scale.start, y=middle - 9, width=whole, height=18.0, rx=2.0))
    for share, filling in shares:
        x = scale.position(begin)
        if share > 0:
            bar = element("rect", class_=f"{filling} {series}", x=x, y=middle - 9, width=share * whole, height=18.0)
            parts.append(bar)
        begin += share
    low, high = (_inside(axis, end) for end in interval)
    parts.append(element("line", class_="whisker", x1=low, x2=high, y1=middle, y2=middle))
    for end in (low, high):
        parts.append(element("line", class_="whisker", x1=end, x2=end, y1=middle - 5, y2=middle + 5))
    return _strip(ROW_HEIGHT, parts, description)


def _grid(axis: IntervalAxis) -> list[str]:
    scale = axis.scale()
    at = (scale.position(tick) for tick in axis.ticks())
    return [element("line", class_="grid", x1=x, x2=x, y1=0.0, y2=ROW_HEIGHT) for x in at]


def _inside(axis: IntervalAxis, number: float) -> float:
    return axis.scale().position(min(max(number, axis.low), axis.high))


def _strip(height: float, parts: Sequence[str], description: str) -> str:
    box = f"0 0 {WIDTH:g} {height:g}"
    title = element("title", text(description))
    return element("svg", title, *parts, viewBox=box, role="img", class_="strip", width=WIDTH, height=height)
