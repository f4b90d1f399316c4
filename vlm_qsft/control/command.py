"""What the controller sends to a robot at one control tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control.faults import Fault


@dataclass(frozen=True)
class Command:
    """The set point of every axis for one control period.

    A hold is a set point too: the arm brakes within its limits and stays there. It is never a vector of zeros, because
    a zero joint target is a move. An interface that takes velocities sends `velocity`, which ends at zero in a hold.

    Attributes:
        kind: "move" while a policy drives, "hold" otherwise.
        target: position of every axis at the end of this period, in the units of its limits, always finite.
        velocity: velocity of the target over this period, units/s; zero once at rest.
        stamp_s: time of the tick, seconds on the control clock.
        reason: why the arm holds; None for a move.
    """

    kind: Literal["move", "hold"]
    target: Float64[np.ndarray, " axis"]
    velocity: Float64[np.ndarray, " axis"]
    stamp_s: float
    reason: Fault | None
