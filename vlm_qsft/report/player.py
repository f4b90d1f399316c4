"""The player of one episode: frames of every camera, then over its steps the value and the Q-values of every bin."""

from __future__ import annotations

from qsft_sim.trace import Trace
from vlm_qsft.report.charts.axes import PlotArea, draw_legend
from vlm_qsft.report.charts.line import Line, draw_lines
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.payload import write_payload

VALUE_AREA = PlotArea(width=560.0, height=150.0, left=64.0, right=8.0, top=8.0, bottom=40.0)


def draw_player(trace: Trace, policy: str, *, identity: str) -> str:
    """Return the player as HTML.

    Args:
        trace: with bins.
        policy: its shown name.
        identity: unique on the page.
    """
    # An instruction with "</script>" or "<!--" in it must not end the element.
    payload = write_payload(trace).replace("<", r"\u003c")
    return element(
        "article",
        _draw_head(trace, policy),
        _draw_views(trace),
        _draw_transport(trace.steps),
        _draw_timeline(trace, policy),
        element("h5", "At this step"),
        element("div", *(_draw_strip(name, trace) for name in trace.action_names), class_="strips"),
        _draw_strip_legend(trace),
        f'<script type="application/json" class="trace">{payload}</script>',
        class_="player",
        id=identity,
    )


def describe_outcome(trace: Trace) -> str:
    """Return what happened in the episode: its length and what was handled."""
    result = trace.result
    handled = f"handled the {result.handled}" if result.handled else "handled nothing"
    wrong = ", a wrong object" if result.wrong_object else ""
    duration = f"{trace.steps} control steps, {trace.steps * trace.period_s:.1f} s"
    return f"scene {result.episode} · {duration} · {handled}{wrong}"


def _draw_head(trace: Trace, policy: str) -> str:
    outcome = "success" if trace.result.success else "failure"
    return element(
        "header",
        element("span", text(outcome), class_=f"badge {outcome}"),
        element("h4", text(f"“{trace.result.instruction}”")),
        element("p", text(f"{policy} · {describe_outcome(trace)}"), class_="muted"),
    )


def _draw_views(trace: Trace) -> str:
    views = (
        element(
            "figure",
            element("canvas", class_="frame", role="img", aria_label=f"{camera} camera"),
            element("figcaption", text(camera)),
            class_="view",
        )
        for camera in trace.cameras
    )
    return element("div", *views, class_="views")


def _draw_transport(steps: int) -> str:
    slider = element(
        "input", type="range", class_="scrubber", min="0", max=str(steps - 1), value="0", step="1",
        aria_label="control step",
    )  # fmt: skip
    return element(
        "div",
        element("button", "▶", type="button", class_="play", aria_label="play or pause"),
        slider,
        element("output", "", class_="clock"),
        class_="transport",
    )


def _draw_timeline(trace: Trace, policy: str) -> str:
    """Return what lies over the steps of the episode: film, value, and a map of every dimension, on one axis."""
    # Film and maps keep the margins of the chart, so that a step has one place in all of them.
    left, right = (f"{100 * margin / VALUE_AREA.width:.3f}%" for margin in (VALUE_AREA.left, VALUE_AREA.right))
    film = element(
        "canvas", class_="film", role="img", aria_label=f"frames of the {trace.cameras[0]} camera over the episode"
    )
    what = "Q-value" if trace.has_q_values else "probability"
    maps = (
        element(
            "div",
            element("span", text(name), class_="map-name"),
            element("canvas", class_="map", role="img", aria_label=f"{what} of every bin of {name} over the episode"),
            class_="map-row",
        )
        for name in trace.action_names
    )
    return element(
        "div",
        film,
        _draw_value(trace, policy),
        element("div", *maps, element("span", class_="map-cursor", aria_hidden="true"), class_="maps"),
        _draw_map_legend(trace),
        class_="timeline",
        style=f"--left:{left};--right:{right}",
    )


def _draw_value(trace: Trace, policy: str) -> str:
    if not trace.has_value:
        return element("p", "No value: this policy has no likelihood model.", class_="missing")
    steps = [float(step) for step in range(1, trace.steps + 1)]
    lines = [Line("value V(s)", steps, trace.value.tolist(), "series-0")]
    if trace.has_q_values:
        chosen = trace.chosen_q_values().tolist()
        lines.append(Line("Q-value of the chosen action", steps, chosen, "series-1", dashed=True))
    kind = "successful" if trace.result.success else "failed"
    chart = draw_lines(
        lines[::-1],
        description=f"Value along the {kind} episode of {policy}",
        x_label="control step",
        y_label="return, 0 to 1",
        x_range=(0.5, trace.steps + 0.5),
        y_range=(0.0, 1.0),
        area=VALUE_AREA,
        cursor=True,
    )
    return element("div", chart, draw_legend([line.legend_entry() for line in lines]), class_="value-curve")


def _draw_map_legend(trace: Trace) -> str:
    scale = element("span", class_="heat-scale" if trace.has_q_values else "heat-scale grey", aria_hidden="true")
    colours = f"Q-value of every bin: 0 {scale} 1" if trace.has_q_values else f"probability of every bin: 0 {scale} 1"
    if not trace.has_q_values:
        colours += ", of the likeliest; no Q-values: this policy has no likelihood model"
    fade = ""
    if trace.has_q_values:
        box = element("input", type="checkbox", class_="fade", checked=True)
        fade = element("label", box, " fade bins the policy hardly draws (below 1 % of the likeliest)")
    return element(
        "div",
        element("span", colours),
        element("span", element("span", class_="chosen-mark", aria_hidden="true"), " chosen bin"),
        element("span", f"upwards: bin 0 to {trace.n_bins - 1}"),
        fade,
        class_="strip-legend",
    )


def _draw_strip(name: str, trace: Trace) -> str:
    what = "Q-values" if trace.has_q_values else "Probabilities"
    strip = element(
        "div",
        element("canvas", class_="odds", aria_hidden="true"),
        element("canvas", class_="heat", role="img", aria_label=f"{what} of the bins of {name}"),
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


def _draw_strip_legend(trace: Trace) -> str:
    return element(
        "div",
        element("span", f"left to right: bin 0 to {trace.n_bins - 1}, and what it decodes to"),
        element("span", "hump: probability of being drawn"),
        element("span", "▲ chosen bin"),
        class_="strip-legend",
    )
