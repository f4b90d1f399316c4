"""A robot that notes what it is told, for conversations without a control loop."""

from __future__ import annotations

import math
from dataclasses import replace

from vlm_qsft.control import ControllerState, ControllerStatus, Fault, FaultKind
from vlm_qsft.dialogue.operator import InstructionBook
from vlm_qsft.errors import CommandRefused

COLOURS, SHAPES = ("red", "green", "blue"), ("cube", "ball", "cylinder")
THINGS = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
TRAINED = [f"pick up the {thing}" for thing in THINGS] + [
    f"move the {thing} near the {other}" for thing in THINGS for other in THINGS if thing != other
]
BOOK = InstructionBook.of(TRAINED)


class NotingRobot:
    """Takes every instruction while it is active; holds and resumes as it is told."""

    def __init__(self, *objects: str, value: float = math.nan) -> None:
        self.objects: tuple[str, ...] | None = objects or None
        self.value = value
        self.current = ControllerStatus(ControllerState.ACTIVE)
        self.told: list[str] = []

    def status(self) -> ControllerStatus:
        return self.current

    def expected_value(self, instruction: str) -> float:
        return self.value

    def instruct(self, instruction: str) -> None:
        self.told.append(instruction)
        self.current = replace(self.current, instruction=instruction)

    def hold(self, reason: str) -> None:
        self.told.append("HOLD")
        self.current = replace(self.current, state=ControllerState.HOLDING, fault=Fault(FaultKind.OPERATOR, reason))

    def resume(self) -> None:
        if self.current.state is not ControllerState.HOLDING:
            raise CommandRefused("Only a holding controller can be resumed.")
        self.told.append("RESUME")
        self.current = replace(self.current, state=ControllerState.ACTIVE, fault=None)

    def emergency_stop(self, reason: str) -> None:
        self.told.append("EMERGENCY STOP")
        self.current = replace(
            self.current, state=ControllerState.STOPPED, fault=Fault(FaultKind.EMERGENCY_STOP, reason)
        )
