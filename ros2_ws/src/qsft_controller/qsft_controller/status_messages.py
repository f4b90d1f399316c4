"""What a controller says of itself on /diagnostics, read back: the other way round than `diagnostics`."""

from __future__ import annotations

import math
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray

from vlm_qsft.control import ControllerState, ControllerStatus, Fault, FaultKind
from vlm_qsft.errors import UnknownName

AGE_KEY = " age_s"
"""Ends the key of every input's age."""


def status_from(message: DiagnosticArray, controller: str) -> ControllerStatus | None:
    """Return what a controller says of itself; None where the message is not of it.

    Values and decision of the action scores are not part of it; an unconfigured controller is an inactive one with a
    complaint.

    Args:
        controller: full name of its node.

    Raises:
        UnknownName: a state or a kind of fault that this version does not have.
    """
    parts = {status.name: {pair.key: pair.value for pair in status.values} for status in message.status}
    told = parts.get(f"{controller}: controller")
    if told is None:
        return None
    state, fault, reason = _state(told), _fault(told), told.get("reason", "")
    complaint = "" if fault is not None else reason
    if state is None:
        complaint = f"The controller is not configured. {reason}".rstrip()
    ages = parts.get(f"{controller}: inputs", {})
    return ControllerStatus(
        ControllerState.INACTIVE if state is None else state,
        fault=fault,
        instruction=told.get("instruction", ""),
        min_value=_number(told.get("min_value")),
        input_ages_s={key.removesuffix(AGE_KEY): float(age) for key, age in ages.items() if key.endswith(AGE_KEY)},
        followed=told.get("followed", ""),
        complaint=complaint,
    )


def _state(told: Mapping[str, str]) -> ControllerState | None:
    name = told.get("state", "")
    if name == "unconfigured":
        return None
    if name not in set(ControllerState):
        raise UnknownName("controller state", name, [state.value for state in ControllerState])
    return ControllerState(name)


def _fault(told: Mapping[str, str]) -> Fault | None:
    name = told.get("fault", "")
    if not name:
        return None
    if name not in set(FaultKind):
        raise UnknownName("kind of fault", name, [kind.value for kind in FaultKind])
    return Fault(FaultKind(name), told.get("reason", "").removeprefix(f"{name}: "))


def _number(text: str | None) -> float | None:
    number = float(text) if text else math.nan
    return None if math.isnan(number) else number
