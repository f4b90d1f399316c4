"""Predicted value against realised return: on the diagonal a value means what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlm_qsft.report.charts.axes import PlotArea, draw_axes, draw_canvas
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_number

SMALLEST_RADIUS, LARGEST_RADIUS = 3.2, 9.0


@dataclass(frozen=True)
class CalibrationBin:
    """One bin of predicted values.

    Attributes:
        predicted: their mean.
        realised: mean realised return, in [0, 1].
        count: frames that fell in.
        interval: 95 % interval of `realised`.
    """

    predicted: float
    realised: float
    count: int
    interval: tuple[float, float]


def draw_calibration(bins: Sequence[CalibrationBin], *, description: str, series: str) -> str:
    """Return a reliability diagram as SVG; the area of a dot is proportional to its count."""
    area = PlotArea(width=460.0, height=330.0)
    x, y = area.x_scale(0.0, 1.0), area.y_scale(0.0, 1.0)
    fifths = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    parts = [
        draw_axes(
            area, x, y, x_label="predicted value 1 − p(dummy)", y_label="mean realised return",
            x_ticks=fifths, y_ticks=fifths,
        ),
        element("line", class_="baseline", x1=x.start, y1=y.start, x2=x.end, y2=y.end),
    ]  # fmt: skip
    filled = [one for one in bins if one.count > 0]
    most = max((one.count for one in filled), default=1)
    for one in filled:
        at = x.position(one.predicted)
        low, high = (y.position(end) for end in one.interval)
        parts.append(element("line", class_=f"stroke {series} thin", x1=at, x2=at, y1=low, y2=high))
        for end in (low, high):
            parts.append(element("line", class_=f"stroke {series} thin", x1=at - 4, x2=at + 4, y1=end, y2=end))
    for one in filled:
        interval = " to ".join(write_number(end) for end in one.interval)
        tip = (
            f"predicted {write_number(one.predicted)}, realised {write_number(one.realised)} (95 % {interval}), "
            f"{one.count:,} frames"
        )
        radius = max(SMALLEST_RADIUS, LARGEST_RADIUS * (one.count / most) ** 0.5)
        place = {"cx": x.position(one.predicted), "cy": y.position(one.realised), "r": radius}
        parts.append(element("circle", element("title", text(tip)), class_=f"bubble {series}", **place))
    return draw_canvas(area, *parts, description=description)
