"""What the dialogue needs of a robot, whether it is simulated, in this process or behind ROS."""

from __future__ import annotations

from typing import Protocol

from vlm_qsft.control import ControllerStatus


class OperatedRobot(Protocol):
    """A robot with a controller; every call may come from another thread than the control loop's."""

    @property
    def objects(self) -> tuple[str, ...] | None:
        """Return what is known to lie before the robot, such as "red cube"; None where nobody knows."""
        ...

    def status(self) -> ControllerStatus:
        """Return what the controller says of itself now."""
        ...

    def expected_value(self, instruction: str) -> float:
        """Return the value that the policy sees in an instruction now; NaN where it cannot tell without moving.

        Raises:
            QsftError: the policy cannot be asked: no words for it, no observation.
        """
        ...

    def instruct(self, instruction: str) -> None:
        """Give the controller something to do. Raises QsftError: it does not take it."""
        ...

    def hold(self, reason: str) -> None:
        """Make the arm hold at once. Raises QsftError: the controller cannot be told."""
        ...

    def resume(self) -> None:
        """Leave the hold. Raises CommandRefused: something forbids it."""
        ...

    def emergency_stop(self, reason: str) -> None:
        """Stop until somebody clears the stop at the robot. Raises QsftError: the controller cannot be told."""
        ...
