"""Counts over bins."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_qsft.report.charts.axes import PlotArea, draw_axes, draw_canvas
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_number, write_percent

TOWER = 3.0  # a bar this many times as high as every other hides them: it is cut


def draw_histogram(
    edges: Sequence[float], counts: Sequence[float], *, description: str, x_label: str, y_label: str, series: str
) -> str:
    """Return a histogram as SVG; y is the share of all counts in a bin.

    One bar that dwarfs all others is cut at the top of the chart and says its share in words.

    Args:
        edges: one more than `counts`, ascending.
        counts: not negative, at least one above zero.
        description: what a screen reader says.
        x_label: what is counted, with its unit.
        y_label: what it is the share of.
        series: class of the colour.
    """
    area, total = PlotArea(height=330.0), float(sum(counts))
    shares = [count / total for count in counts]
    highest, *others = sorted(shares, reverse=True)
    second = others[0] if others else 0.0
    is_cut = second > 0 and highest > TOWER * second
    top = 1.25 * second if is_cut else 1.05 * highest
    x, y = area.x_scale(edges[0], edges[-1]), area.y_scale(0.0, top)
    parts = [draw_axes(area, x, y, x_label=x_label, y_label=y_label, write_y=write_percent)]
    for low, high, share, count in zip(edges[:-1], edges[1:], shares, counts, strict=True):
        if count == 0:
            continue
        tip = f"{write_number(low)} to {write_number(high)}: {write_percent(share)} ({count:,.0f})"
        left, ceiling = x.position(low) + 0.5, y.position(min(share, top))
        width = max(x.position(high) - left - 0.5, 0.5)
        bar = {"x": left, "y": ceiling, "width": width, "height": y.start - ceiling}
        parts.append(element("rect", element("title", text(tip)), class_=f"solid {series}", **bar))
        if share > top:
            parts.append(_draw_cut(left, width, ceiling, write_percent(share)))
    return draw_canvas(area, *parts, description=description)


def _draw_cut(left: float, width: float, ceiling: float, share: str) -> str:
    """Return a break across a bar and its share beside it."""
    right, at = left + width, ceiling + 16
    slash = f"M{left - 3:.1f} {at + 3:.1f}L{right + 3:.1f} {at - 3:.1f}"
    label = element("text", text(f"{share}, cut"), class_="mark", x=right + 8, y=ceiling + 10)
    return element("path", class_="break", d=slash) + label
