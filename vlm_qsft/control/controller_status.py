"""ControllerStatus: everything a controller can say of itself at one moment, for people, pages and messages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vlm_qsft.control.controller import Controller
from vlm_qsft.control.controller_state import ControllerState
from vlm_qsft.control.faults import Fault
from vlm_qsft.types import Decision

STALE_S = 2.0
"""Older than this a status tells of the past: a controller speaks at least twice a second."""


@dataclass(frozen=True)
class ControllerStatus:
    """One moment of a controller.

    Attributes:
        state: where it stands.
        fault: why it holds or is stopped; None while it moves or waits.
        instruction: under way, "" for none.
        min_value: a decision of lower value makes it hold; None for no such level.
        input_ages_s: camera or other input -> seconds since it was measured, infinity when it never came.
        values: of the decisions on this instruction or, where there is none, on the last; oldest first.
        decision: the last one, None before the first.
        action_names: of the decision's dimensions.
        followed: the instruction that was followed last, "" where none was or nothing judges it.
        complaint: what it waits for or could not do, though no fault holds it; "" for nothing.
        age_s: seconds since the controller said all this; infinity where it has never said anything.
    """

    state: ControllerState
    fault: Fault | None = None
    instruction: str = ""
    min_value: float | None = None
    input_ages_s: Mapping[str, float] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    decision: Decision | None = None
    action_names: tuple[str, ...] = ()
    followed: str = ""
    complaint: str = ""
    age_s: float = 0.0

    @property
    def is_stale(self) -> bool:
        """Return whether it may long have changed."""
        return self.age_s > STALE_S

    @property
    def value(self) -> float:
        """Return the value of the last decision; NaN before the first and without a likelihood model."""
        return self.values[-1] if self.values else math.nan

    @property
    def is_moving(self) -> bool:
        """Return whether the arm follows an instruction."""
        return self.state is ControllerState.ACTIVE and bool(self.instruction)


def controller_status(
    controller: Controller,
    now_s: float,
    *,
    inputs: Sequence[str],
    values: Sequence[float] = (),
    decision: Decision | None = None,
    action_names: tuple[str, ...] = (),
    followed: str = "",
) -> ControllerStatus:
    """Return the status of a controller; what it does not keep itself comes from whoever drives it.

    Args:
        inputs: names of the watched inputs to tell the ages of.

    Raises:
        UnknownName: no such input is watched.
    """
    instruction = controller.instruction
    return ControllerStatus(
        state=controller.state,
        fault=controller.fault,
        instruction="" if instruction is None else instruction.text,
        min_value=controller.settings.min_value,
        input_ages_s={name: controller.input_age_s(name, now_s) for name in inputs},
        values=tuple(values),
        decision=decision,
        action_names=action_names,
        followed=followed,
    )
