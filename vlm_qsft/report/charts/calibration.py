"""Predicted value against realised return: on the diagonal a value means what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlm_qsft.report.charts.axes import PlotArea, draw_axes, draw_canvas
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import write_number

LARGEST_RADIUS = 9.0


@dataclass(frozen=True)
class CalibrationBin:
    """One bin of predicted values: their mean, the mean realised return, and how many frames fell in."""

    predicted: float
    realised: float
    count: int


def draw_calibration(bins: Sequence[CalibrationBin], *, description: str, series: str) -> str:
    """Return a reliability diagram as SVG; the area of a dot is proportional to its count."""
    area = PlotArea(width=460.0, height=330.0)
    x, y = area.x_scale(0.0, 1.0), area.y_scale(0.0, 1.0)
    quarter = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    axes = draw_axes(
        area, x, y, x_label="predicted value 1 − p(dummy)", y_label="mean realised return",
        x_ticks=quarter, y_ticks=quarter,
    )  # fmt: skip
    diagonal = element("line", class_="baseline", x1=x.start, y1=y.start, x2=x.end, y2=y.end)
    filled = [one for one in bins if one.count > 0]
    most = max((one.count for one in filled), default=1)
    route = "".join(
        f"{'M' if index == 0 else 'L'}{x.position(one.predicted):.1f} {y.position(one.realised):.1f}"
        for index, one in enumerate(filled)
    )
    path = element("path", class_=f"stroke {series} thin", d=route, fill="none")
    dots = []
    for one in filled:
        tip = f"predicted {write_number(one.predicted)}, realised {write_number(one.realised)}, {one.count:,} frames"
        radius = max(2.0, LARGEST_RADIUS * (one.count / most) ** 0.5)
        dots.append(
            element(
                "circle",
                element("title", text(tip)),
                class_=f"bubble {series}",
                cx=x.position(one.predicted),
                cy=y.position(one.realised),
                r=radius,
            )
        )
    return draw_canvas(area, axes, diagonal, path, *dots, description=description)
