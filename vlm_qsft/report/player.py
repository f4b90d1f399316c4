"""The player of one episode: frames of every camera, Q-values of every action dimension, value, scrubber."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from vlm_qsft.report.charts.axes import PlotArea, draw_legend
from vlm_qsft.report.charts.line import Line, draw_lines
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.sprite import make_sprite
from vlm_qsft.report.trace import Trace

VALUE_AREA = PlotArea(width=560.0, height=170.0, left=44.0, right=8.0)


@dataclass(frozen=True)
class PlayerTitle:
    """What stands above a player.

    Attributes:
        policy: shown name of the policy.
        success: how the episode ended.
        period_s: control period in seconds, None when unknown.
        action_names: names of the data set's action dimensions, used where the trace has none.
        cameras: likewise for the cameras.
    """

    policy: str
    success: bool
    period_s: float | None
    action_names: tuple[str, ...]
    cameras: tuple[str, ...]


def draw_player(trace: Trace, title: PlayerTitle, *, identity: str) -> str:
    """Return the player as HTML; `identity` is unique on the page."""
    cameras = _labels(trace.cameras, title.cameras, trace.frames.shape[1], "camera")
    dimensions = _labels(trace.action_names, title.action_names, trace.q_values.shape[1], "dimension")
    steps = trace.frames.shape[0]
    outcome = "success" if title.success else "failure"
    head = element(
        "header",
        element("span", text(outcome), class_=f"badge {outcome}"),
        element("h4", text(f"“{trace.instruction}”" if trace.instruction else "instruction not recorded")),
        element("p", text(f"{title.policy} · {steps} control steps{_duration(steps, title.period_s)}"), class_="muted"),
    )
    views = "".join(
        element(
            "figure",
            element("canvas", class_="frame", role="img", aria_label=f"{camera} camera"),
            element("figcaption", text(camera)),
            class_="view",
        )
        for camera in cameras
    )
    slider = element(
        "input", type="range", class_="scrubber", min="0", max=str(steps - 1), value="0", step="1",
        aria_label="control step",
    )  # fmt: skip
    transport = element(
        "div",
        element("button", "▶", type="button", class_="play", aria_label="play or pause"),
        slider,
        element("output", "", class_="clock"),
        class_="transport",
    )
    payload = json.dumps(_payload(trace, cameras, dimensions, title.period_s), allow_nan=False, separators=(",", ":"))
    return element(
        "article",
        head,
        element("div", views, class_="views"),
        transport,
        element("canvas", class_="film", role="img", aria_label=f"frames of the {cameras[0]} camera over the episode"),
        _value_chart(trace, title),
        element("div", *(_strip_row(name) for name in dimensions), class_="strips"),
        _strip_legend(trace),
        # An instruction with "</script>" or "<!--" in it must not end the element.
        f'<script type="application/json" class="trace">{payload.replace("<", r"\u003c")}</script>',
        class_="player",
        id=identity,
    )


def _strip_row(name: str) -> str:
    strip = element(
        "div",
        element("canvas", class_="odds", aria_hidden="true"),
        element("canvas", class_="heat", role="img", aria_label=f"Q-values of the bins of {name}"),
        element("span", class_="chosen", aria_hidden="true"),
        class_="strip-body",
    )
    return element(
        "div",
        element("span", text(name), class_="strip-name"),
        strip,
        element("output", "", class_="strip-readout"),
        class_="strip-row",
    )


def _strip_legend(trace: Trace) -> str:
    n_bins = trace.q_values.shape[2]
    scale = element("span", class_="heat-scale", aria_hidden="true")
    what = "Q-value (likelihood ratio)" if trace.has_q_values else "no Q-values: they need both models, π_φ and p_θ"
    colours = element("span", text(what), " ", "0 ", scale, " 1") if trace.has_q_values else element("span", text(what))
    fade = ""
    if trace.has_q_values:
        box = element("input", type="checkbox", class_="fade", checked=True)
        fade = element("label", box, " fade bins the policy hardly draws (below 1 % of the likeliest)")
    return element(
        "div",
        colours,
        element("span", f"bins 0 … {n_bins - 1}, left to right; = physical value"),
        element("span", "hump: probability of being drawn"),
        element("span", "▲ chosen bin"),
        fade,
        class_="strip-legend",
    )


def _value_chart(trace: Trace, title: PlayerTitle) -> str:
    if not trace.has_value:
        return element("p", "No value curve: this policy has no likelihood model.", class_="missing")
    steps = [float(step) for step in range(trace.frames.shape[0])]
    lines = [Line("value V(s)", steps, _floats(trace.value), "series-0")]
    if trace.has_q_values:
        chosen = _floats(trace.chosen_q_values())
        lines.append(Line("Q-value of the chosen action", steps, chosen, "series-1", dashed=True))
    chart = draw_lines(
        lines[::-1],
        description=f"Value along the {'successful' if title.success else 'failed'} episode of {title.policy}",
        x_label="control step",
        y_label="value",
        y_range=(0.0, 1.0),
        area=VALUE_AREA,
        cursor=True,
    )
    legend = [line.legend_entry() for line in lines]
    return element("div", chart, draw_legend(legend), class_="value-curve")


def _payload(trace: Trace, cameras: list[str], dimensions: list[str], period_s: float | None) -> dict[str, object]:
    """Return what the script draws: per step and dimension one byte for each bin's Q-value and probability.

    A byte of Q is Q * 255 rounded (the colour scale has no more steps); a byte of probability is relative to the
    likeliest bin of the same step and dimension, whose probability is in `peaks`.
    """
    peaks = np.maximum(trace.probabilities.max(axis=2), np.float32(1e-12))
    sprites = [make_sprite(trace.frames[:, camera]) for camera in range(len(cameras))]
    return {
        "steps": trace.frames.shape[0],
        "bins": trace.q_values.shape[2],
        "period_s": period_s,
        "dimensions": dimensions,
        "cameras": [vars(sprite) for sprite in sprites],
        "q": _bytes(trace.q_values) if trace.has_q_values else None,
        "odds": _bytes(trace.probabilities / peaks[:, :, None]),
        "peaks": _rows(peaks, 5),
        "chosen": trace.action_bins.tolist(),
        "value": [round(number, 4) if np.isfinite(number) else None for number in _floats(trace.value)],
        "centers": None if trace.bin_centers is None else _rows(trace.bin_centers, 5),
    }


def _bytes(shares: Float32[np.ndarray, "step action_dim n_bins"]) -> str:
    rounded = np.rint(np.clip(np.nan_to_num(shares, nan=0.0), 0.0, 1.0) * 255).astype(np.uint8)
    return base64.b64encode(rounded.tobytes()).decode("ascii")


def _rows(numbers: np.ndarray, decimals: int) -> list[list[float]]:
    return [[round(float(number), decimals) for number in row] for row in numbers]


def _floats(numbers: np.ndarray) -> list[float]:
    return [float(number) for number in numbers]


def _labels(own: tuple[str, ...], of_dataset: tuple[str, ...], count: int, kind: str) -> list[str]:
    for names in (own, of_dataset):
        if len(names) == count:
            return list(names)
    return [f"{kind} {number}" for number in range(1, count + 1)]


def _duration(steps: int, period_s: float | None) -> str:
    return "" if period_s is None else f" · {steps * period_s:.1f} s of robot time"
