"""What the controller says of itself on /diagnostics (REP-107)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from qsft_controller.stamps import stamp_at
from vlm_qsft.control import ControllerState, Fault
from vlm_qsft.control.tick_times import TickStatistics


@dataclass(frozen=True)
class Health:
    """Everything that diagnostics say.

    Attributes:
        state: of the controller; None before it is configured.
        reason: why it does not move, one sentence; "" when it does.
        fault: the fault among the reasons; None for one that is not.
        instruction: under way, or "".
        value: of the last decision; NaN before the first.
        input_ages_s: input -> seconds since it was measured; infinity when it never came.
        ticks: how regularly the control loop runs.
        decision_s: from the last question to its answer, seconds; NaN before the first.
        latency_s: time the policy itself thought.
        min_value: a decision of lower value makes it hold; None for no such level.
        followed: the instruction that was followed last, until the next one; "" for none.
    """

    state: ControllerState | None
    reason: str
    fault: Fault | None
    instruction: str
    value: float
    input_ages_s: Mapping[str, float]
    ticks: TickStatistics | None
    decision_s: float
    latency_s: float
    min_value: float | None = None
    followed: str = ""


def diagnostic_array(health: Health, *, node_name: str, stamp_s: float) -> DiagnosticArray:
    """Return the message: one status each for controller, inputs and timing."""
    message = DiagnosticArray()
    message.header.stamp = stamp_at(stamp_s)
    message.status = [_controller(health, node_name), _inputs(health, node_name), _timing(health, node_name)]
    return message


def _controller(health: Health, node_name: str) -> DiagnosticStatus:
    if health.state is None:
        level, text = DiagnosticStatus.STALE, health.reason or "not configured"
    elif health.fault is not None or health.state is ControllerState.STOPPED:
        level, text = DiagnosticStatus.ERROR, health.reason
    elif health.reason:
        level, text = DiagnosticStatus.WARN, health.reason
    else:
        level, text = DiagnosticStatus.OK, health.state.value
    values = {
        "state": "unconfigured" if health.state is None else health.state.value,
        "fault": "" if health.fault is None else health.fault.kind.value,
        "reason": health.reason,
        "instruction": health.instruction,
        "value": f"{health.value:.4f}",
        "min_value": "" if health.min_value is None else f"{health.min_value:.4f}",
        "followed": health.followed,
    }
    return _status(f"{node_name}: controller", level, text, values)


def _inputs(health: Health, node_name: str) -> DiagnosticStatus:
    never = [name for name, age_s in health.input_ages_s.items() if math.isinf(age_s)]
    level = DiagnosticStatus.WARN if never else DiagnosticStatus.OK
    text = f"never arrived: {', '.join(never)}" if never else "all inputs arrive"
    ages = {f"{name} age_s": f"{age_s:.3f}" for name, age_s in health.input_ages_s.items()}
    return _status(f"{node_name}: inputs", level, text, ages)


def _timing(health: Health, node_name: str) -> DiagnosticStatus:
    values = {"decision_s": f"{health.decision_s:.4f}", "policy_latency_s": f"{health.latency_s:.4f}"}
    ticks = health.ticks
    if ticks is None:
        return _status(f"{node_name}: timing", DiagnosticStatus.OK, "no control ticks yet", values)
    values |= {
        "n_ticks": str(ticks.n_ticks),
        "period_s": f"{ticks.period_s:.5f}",
        "jitter_p99_s": f"{ticks.jitter_p99_s:.5f}",
        "jitter_max_s": f"{ticks.jitter_max_s:.5f}",
        "tick_p99_s": f"{ticks.busy_p99_s:.5f}",
    }
    late = ticks.jitter_p99_s > 0.5 * ticks.period_s
    level = DiagnosticStatus.WARN if late else DiagnosticStatus.OK
    return _status(f"{node_name}: timing", level, "the control period is not held" if late else "on time", values)


def _status(name: str, level: bytes, text: str, values: Mapping[str, str]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=text, hardware_id="", values=pairs)
