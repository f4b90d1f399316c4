"""Where the tool of the arm must stay, checked before every move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.control.limits import RobotLimits
from vlm_qsft.control.rate_limiter import Motion, brake
from vlm_qsft.errors import InvalidSetting

ToolPosition = Callable[[Float64[np.ndarray, " axis"]], Float64[np.ndarray, " 3"]]
"""Forward kinematics: axis positions -> x, y, z of the tool in the robot's base frame, metres."""


@dataclass(frozen=True)
class WorkspaceBox:
    """The axis-aligned box, in the robot's base frame, that the tool must not leave.

    Attributes:
        lower_m: smallest x, y, z.
        upper_m: largest x, y, z.
    """

    lower_m: tuple[float, float, float]
    upper_m: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Raises InvalidSetting: the box is empty along a coordinate."""
        if not all(lower < upper for lower, upper in zip(self.lower_m, self.upper_m, strict=True)):
            raise InvalidSetting(f"The workspace box is empty: lower {self.lower_m}, upper {self.upper_m}.")

    def contains(self, position_m: Float64[np.ndarray, " 3"]) -> bool:
        """Tell whether a point lies in the box; a point with NaN does not."""
        return bool(np.all(position_m >= self.lower_m) and np.all(position_m <= self.upper_m))


@dataclass(frozen=True)
class Workspace:
    """A box for the tool, and the kinematics that tell where the tool is.

    Axes that are Cartesian already have the box in their limits and need none.

    Attributes:
        box: where the tool must stay.
        tool_position: forward kinematics.
    """

    box: WorkspaceBox
    tool_position: ToolPosition

    def check(self, motion: Motion, limits: RobotLimits, *, duration_s: float) -> Fault | None:
        """Check that the tool is in the box now and on the whole way on which the arm would brake from here.

        Args:
            motion: the one about to be commanded.
            limits: of the robot.
            duration_s: the control period; the braking way is followed in ticks of it.
        """
        while True:
            position_m = np.asarray(self.tool_position(motion.position), dtype=np.float64)
            if not self.box.contains(position_m):
                point = ", ".join(f"{coordinate:.3f}" for coordinate in position_m)
                return Fault(
                    FaultKind.OUTSIDE_WORKSPACE,
                    f"The tool would reach ({point}) m, outside the box from {self.box.lower_m} to {self.box.upper_m}.",
                )
            if motion.at_rest:
                return None
            motion = brake(motion, limits, duration_s=duration_s)
