"""Grippers that are driven by an action: a goal where it should go, not a stream of set points."""

from __future__ import annotations

from rclpy.action.client import ActionClient
from rclpy.node import Node

from vlm_qsft.control import AxisLimits
from vlm_qsft.errors import MissingDependency

GRIPPER_ACTIONS = ("gripper_command", "parallel_gripper_command")

SMALLEST_CHANGE = 0.02
"""Share of the range below which no new goal is sent: each goal aborts the last, and some grippers stop for it."""

SHORTEST_TIME_S = 0.2
"""Between two goals."""


class GripperAction:
    """Sends a goal when the gripper should be somewhere else."""

    def __init__(self, node: Node, kind: str, axis: AxisLimits, *, max_effort: float) -> None:
        """Make the client of `gripper_cmd`.

        Args:
            node: owns the client.
            kind: one of `GRIPPER_ACTIONS`.
            axis: of the gripper, in metres or rad as its driver takes it.
            max_effort: N; 0 leaves it to the driver.

        Raises:
            MissingDependency: no control_msgs.
        """
        try:
            from control_msgs.action import (  # pyright: ignore[reportMissingImports] (comes with an installation)
                GripperCommand,
                ParallelGripperCommand,
            )
        except ImportError as error:
            raise MissingDependency(
                f"The gripper interface '{kind}' needs control_msgs, which comes with a ROS 2 installation "
                "(ros-<distro>-control-msgs). Or use gripper.interface joint_trajectory or forward_position."
            ) from error
        self._axis, self._max_effort = axis, max_effort
        self._type = GripperCommand if kind == "gripper_command" else ParallelGripperCommand
        self._client = ActionClient(node, self._type, "gripper_cmd")
        self._sent: float | None = None
        self._sent_s = 0.0

    def send(self, position: float, now_s: float) -> None:
        """Send a goal when this position is a new one."""
        smallest = SMALLEST_CHANGE * (self._axis.upper - self._axis.lower)
        if self._sent is not None and (
            abs(position - self._sent) < smallest or 0 <= now_s - self._sent_s < SHORTEST_TIME_S
        ):
            return
        if not self._client.server_is_ready():
            return
        self._sent, self._sent_s = position, now_s
        goal = self._type.Goal()
        if hasattr(goal.command, "max_effort"):
            goal.command.position, goal.command.max_effort = position, self._max_effort
        else:
            goal.command.name, goal.command.position = [self._axis.name], [position]
            goal.command.effort = [self._max_effort] if self._max_effort > 0 else []
        self._client.send_goal_async(goal)

    def close(self) -> None:
        """Take the client away."""
        self._client.destroy()
