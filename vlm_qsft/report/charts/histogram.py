"""Counts over bins."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_qsft.report.charts.axes import PlotArea, draw_axes, draw_canvas
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_number, write_percent


def draw_histogram(
    edges: Sequence[float], counts: Sequence[float], *, description: str, x_label: str, series: str
) -> str:
    """Return a histogram as SVG; y is the share of all counts in a bin.

    Args:
        edges: one more than `counts`, ascending.
        counts: not negative, at least one above zero.
        description: what a screen reader says.
        x_label: what is counted, with its unit.
        series: class of the colour.
    """
    area, total = PlotArea(height=330.0), float(sum(counts))
    shares = [count / total for count in counts]
    x, y = area.x_scale(edges[0], edges[-1]), area.y_scale(0.0, max(shares) * 1.05)
    bars = []
    for low, high, share, count in zip(edges[:-1], edges[1:], shares, counts, strict=True):
        tip = f"{write_number(low)} to {write_number(high)}: {write_percent(share)} ({count:,.0f})"
        left, top = x.position(low), y.position(share)
        bars.append(
            element(
                "rect",
                element("title", text(tip)),
                class_=f"solid {series}",
                x=left + 0.5,
                y=top,
                width=max(x.position(high) - left - 1, 0.5),
                height=max(y.start - top, 0.0),
            )
        )
    axes = draw_axes(area, x, y, x_label=x_label, y_label="share of targets", write_y=write_percent)
    return draw_canvas(area, axes, *bars, description=description)
