"""Where a controller stands."""

from __future__ import annotations

from enum import StrEnum

from vlm_qsft.control.faults import Fault, FaultKind


class ControllerState(StrEnum):
    """Where a controller stands; see `controller` for the ways between."""

    INACTIVE = "inactive"
    ACTIVE = "active"
    HOLDING = "holding"
    STOPPED = "stopped"


def idle_reason(state: ControllerState) -> Fault:
    """Return why a controller without a fault moves nothing."""
    if state is ControllerState.INACTIVE:
        return Fault(FaultKind.OPERATOR, "The controller was deactivated.")
    return Fault(FaultKind.NO_INSTRUCTION, "The controller is active and waits for an instruction.")
