"""The frame of a chart: plot area, grid, ticks, axis labels, and the figure with title and legend around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import Scale, round_ticks, write_number


@dataclass(frozen=True)
class PlotArea:
    """Size of a chart and the room that axis labels need, SVG units (about one CSS pixel)."""

    width: float = 460.0
    height: float = 250.0
    left: float = 60.0
    right: float = 14.0
    top: float = 12.0
    bottom: float = 44.0

    def x_scale(self, low: float, high: float) -> Scale:
        """Return the horizontal scale of this area."""
        return Scale(low, high, self.left, self.width - self.right)

    def y_scale(self, low: float, high: float) -> Scale:
        """Return the vertical scale of this area: large numbers are high up."""
        return Scale(low, high, self.height - self.bottom, self.top)


_FILLINGS = {"area": "fill", "solid": "solid", "rest": "rest"}


@dataclass(frozen=True)
class LegendEntry:
    """One line of a legend.

    Attributes:
        label: what the mark stands for.
        series: class of the colour, `series-0` ... or the class of a policy.
        mark: `line`, `dashed`, `area`, `solid`, `rest`, `whisker` or `dot`.
    """

    label: str
    series: str
    mark: str = "line"


def draw_axes(
    area: PlotArea,
    x: Scale,
    y: Scale,
    *,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
    write_x: Callable[[float], str] = write_number,
    write_y: Callable[[float], str] = write_number,
) -> str:
    """Return grid lines, tick labels and axis labels of a chart."""
    parts: list[str] = []
    for tick in round_ticks(y.low, y.high, about=5) if y_ticks is None else y_ticks:
        at = y.position(tick)
        parts.append(element("line", class_="grid", x1=x.start, x2=x.end, y1=at, y2=at))
        parts.append(element("text", text(write_y(tick)), class_="tick", x=x.start - 7, y=at + 3.5, text_anchor="end"))
    for tick in round_ticks(x.low, x.high, about=6) if x_ticks is None else x_ticks:
        at = x.position(tick)
        parts.append(element("line", class_="axis", x1=at, x2=at, y1=y.start, y2=y.start + 4))
        label = element("text", text(write_x(tick)), class_="tick", x=at, y=y.start + 16, text_anchor="middle")
        parts.append(label)
    parts.append(element("line", class_="axis", x1=x.start, x2=x.end, y1=y.start, y2=y.start))
    middle_x, middle_y = (x.start + x.end) / 2, (y.start + y.end) / 2
    parts.append(
        element("text", text(x_label), class_="axis-label", x=middle_x, y=area.height - 6, text_anchor="middle")
    )
    turned = f"rotate(-90 11 {middle_y:.1f})"
    parts.append(
        element("text", text(y_label), class_="axis-label", x=11.0, y=middle_y, text_anchor="middle", transform=turned)
    )
    return "".join(parts)


def draw_canvas(area: PlotArea, *parts: str, description: str) -> str:
    """Return the SVG that holds `parts`; `description` is what a screen reader says."""
    box = f"0 0 {area.width:g} {area.height:g}"
    return element("svg", element("title", text(description)), *parts, viewBox=box, role="img", class_="chart")


def draw_legend(entries: Sequence[LegendEntry]) -> str:
    """Return the legend as a list; empty when a single unnamed series needs none."""
    items = []
    for entry in entries:
        if entry.mark in _FILLINGS:
            shape = element(
                "rect", class_=f"{_FILLINGS[entry.mark]} {entry.series}", x=1.0, y=1.0, width=20.0, height=10.0
            )
        elif entry.mark == "whisker":
            shape = element("path", class_="whisker", d="M1 6H21M1 2V10M21 2V10")
        elif entry.mark == "dot":
            shape = element("circle", class_=f"dot {entry.series}", cx=11.0, cy=6.0, r=4.0)
        else:
            dashed = " dashed" if entry.mark == "dashed" else ""
            shape = element("line", class_=f"stroke {entry.series}{dashed}", x1=1.0, x2=21.0, y1=6.0, y2=6.0)
        swatch = element("svg", shape, viewBox="0 0 22 12", class_="swatch", aria_hidden="true")
        items.append(element("li", swatch, text(entry.label)))
    return element("ul", *items, class_="legend") if items else ""


def draw_figure(
    title: str, chart: str, *, caption: str = "", legend: Sequence[LegendEntry] = (), note: str = ""
) -> str:
    """Return a chart between words.

    Args:
        title: what it is.
        chart: from `draw_canvas`.
        caption: what is seen and what it means, above the chart.
        legend: below the chart.
        note: what was read off this chart, at the end.
    """
    explained = element("p", text(caption), class_="caption") if caption else ""
    below = element("p", text(note), class_="note") if note else ""
    words = element("figcaption", element("h4", text(title)), explained)
    return element("figure", words, chart, draw_legend(legend), below, class_="figure")
