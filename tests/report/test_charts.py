"""Charts: positions, ticks and texts computed by hand."""

from __future__ import annotations

import math
import re

import pytest

from vlm_qsft.report.charts.calibration import CalibrationBin, draw_calibration
from vlm_qsft.report.charts.histogram import draw_histogram
from vlm_qsft.report.charts.interval import IntervalAxis, draw_interval, draw_parts
from vlm_qsft.report.charts.line import Line, draw_lines
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.charts.scale import (
    Scale,
    padded_range,
    round_ticks,
    write_number,
    write_p_value,
    write_percent,
    write_percent_range,
    write_points,
)


def test_a_scale_maps_its_ends_to_its_ends() -> None:
    scale = Scale(10.0, 20.0, 200.0, 0.0)
    assert [scale.position(number) for number in (10, 15, 20)] == [200.0, 100.0, 0.0]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 2400.0, [0.0, 500.0, 1000.0, 1500.0, 2000.0]),
        (-0.52, 0.52, [-0.4, -0.2, 0.0, 0.2, 0.4]),
        (3.0, 3.0, [3.0]),
    ],
)
def test_ticks_are_round_and_inside_the_range(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


def test_numbers_are_written_as_people_read_them() -> None:
    assert [write_number(number) for number in (0, 3.14159, 12500, -0.5, 0.00012, math.nan)] == [
        "0", "3.14", "12.5k", "−0.5", "1.2e−4", "–",
    ]  # fmt: skip
    assert [write_percent(share) for share in (0.425, 0.055, 1.0, 0.0, 0.36004)] == [
        "42.5\u00a0%", "5.5\u00a0%", "100\u00a0%", "0\u00a0%", "36\u00a0%",
    ]  # fmt: skip
    assert write_percent_range(0.325, 0.459) == "32.5 to 45.9\u00a0%"
    assert [write_points(difference) for difference in (0.025, -0.24, 0.0, -0.0001)] == ["+2.5", "−24", "0", "0"]
    assert [write_p_value(p_value) for p_value in (0.668, 0.00012, 1e-9)] == ["0.67", "0.00012", "<\u00a00.0001"]


def test_a_range_without_numbers_is_still_a_range() -> None:
    assert padded_range([math.nan]) == (0.0, 1.0)
    assert padded_range([2.0, 2.0]) == pytest.approx((1.8, 2.2))


def test_text_and_attributes_cannot_break_out_of_their_element() -> None:
    assert text("<b> & co") == "&lt;b&gt; &amp; co"
    assert element("a", "x", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;">x</a>'


def test_a_number_that_is_not_finite_leaves_a_gap_in_its_line() -> None:
    line = Line("loss", [0, 1, 2, 3, 4], [1.0, 1.0, math.nan, 1.0, 1.0], "series-0")
    drawn = draw_lines([line], description="d", x_label="step", y_label="loss")
    path = re.search(r'<path[^>]* d="([^"]*)"', drawn)
    assert path is not None
    assert [command[0] for command in re.findall(r"[ML][^ML]*", path[1])] == ["M", "L", "M", "L"]


def test_a_line_outside_a_fixed_range_stays_on_the_chart() -> None:
    line = Line("value", [0, 1], [5.0, -5.0], "series-0")
    drawn = draw_lines([line], description="d", x_label="step", y_label="value", y_range=(0.0, 1.0))
    ys = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", drawn)]
    assert ys == [12.0, 206.0]  # the top and the bottom of the plot area


def test_axis_labels_and_description_are_part_of_a_chart() -> None:
    drawn = draw_lines(
        [Line("train", [0, 1], [1, 2], "series-0")], description="NLL by step", x_label="step", y_label="nats per token"
    )
    for expected in ("<title>NLL by step</title>", ">step<", ">nats per token<", 'role="img"'):
        assert expected in drawn


def test_an_interval_spans_its_ends_on_the_axis() -> None:
    axis = IntervalAxis(0.0, 1.0, "success rate", baseline=0.5)
    drawn = draw_interval(axis, 0.5, (0.25, 0.75), series="policy-qsft", description="d")
    bar = re.search(r'<rect class="fill policy-qsft" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    assert bar is not None
    # The axis runs from 18 to 352: a quarter of it is 83.5.
    assert (float(bar[1]), float(bar[2])) == (101.5, 167.0)
    assert 'class="baseline" x1="185"' in drawn


def test_parts_of_a_whole_stand_side_by_side_with_the_interval_of_the_first() -> None:
    axis = IntervalAxis(0.0, 1.0, "scenes")
    drawn = draw_parts(axis, [(0.25, "solid"), (0.5, "fill")], (0.2, 0.4), series="policy-qsft", description="d")
    bars = re.findall(r'<rect class="(\w+)[^"]*" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    assert bars == [("rest", "18", "334"), ("solid", "18", "83.5"), ("fill", "101.5", "167")]
    assert '<line class="whisker" x1="84.8" x2="151.6"' in drawn  # 18 + 334 * 0.2 and 18 + 334 * 0.4


def test_a_part_of_nothing_is_not_drawn() -> None:
    axis = IntervalAxis(0.0, 1.0, "scenes")
    drawn = draw_parts(axis, [(0.0, "solid"), (0.5, "fill")], (0.0, 0.1), series="policy-qsft", description="d")
    assert 'class="solid' not in drawn


def draw_counts(counts: list[int]) -> str:
    edges = [number / len(counts) for number in range(len(counts) + 1)]
    return draw_histogram(edges, counts, description="d", x_label="target", y_label="share", series="series-0")


def heights_of_bars(drawn: str) -> list[float]:
    return [float(height) for height in re.findall(r'class="solid[^>]* height="([\d.]+)"', drawn)]


def test_histogram_bars_are_as_high_as_their_share() -> None:
    drawn = draw_counts([5, 2])
    heights = heights_of_bars(drawn)
    assert heights[0] / heights[1] == pytest.approx(2.5, rel=0.01)
    assert "71.4\u00a0% (5)" in drawn
    assert "cut" not in drawn


def test_a_bar_that_hides_the_others_is_cut_and_says_its_share() -> None:
    drawn = draw_counts([90, 4, 0, 6])
    first, second, fourth = heights_of_bars(drawn)  # an empty bin has no bar
    assert second / fourth == pytest.approx(4 / 6, rel=0.01)
    assert first / fourth == pytest.approx(1.25, rel=0.01)
    assert ">90\u00a0%, cut<" in drawn


def test_calibration_dots_have_an_area_proportional_to_their_count() -> None:
    bins = [
        CalibrationBin(0.2, 0.25, 100, (0.15, 0.35)),
        CalibrationBin(0.8, 0.7, 400, (0.6, 0.8)),
        CalibrationBin(0.9, 0.9, 0, (0.0, 1.0)),
    ]
    drawn = draw_calibration(bins, description="d", series="series-0")
    radii = [float(radius) for radius in re.findall(r'class="bubble[^>]* r="([\d.]+)"', drawn)]
    assert radii == [4.5, 9.0]
    # The plot is 274 high, its bottom at 286: 0.15 lies at 286 - 0.15 * 274 and so on.
    uprights = re.findall(r'<line class="stroke[^>]* x1="([\d.]+)" x2="\1" y1="([\d.]+)" y2="([\d.]+)"', drawn)
    assert [(float(low), float(high)) for _, low, high in uprights] == [(244.9, 190.1), (121.6, 66.8)]
