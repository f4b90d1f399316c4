"""Publishes commands on the interface that an arm and its gripper understand."""

from __future__ import annotations

from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from qsft_controller import command_messages, qos
from qsft_controller.controller_parameters import checked_choice
from qsft_controller.gripper_action import GRIPPER_ACTIONS, GripperAction
from qsft_controller.parameters import number, text
from qsft_controller.stamps import ControlClock
from vlm_qsft.control import Command, RobotLimits
from vlm_qsft.control.stopping_way import WayPoint, stopping_way
from vlm_qsft.errors import InvalidSetting

ARM_INTERFACES = ("joint_trajectory", "forward_position", "twist")
GRIPPER_INTERFACES = ("joint_trajectory", "forward_position", *GRIPPER_ACTIONS)


def expected_commands(node: Node) -> dict[str, str]:
    """Return topic -> type of what a controller with these parameters sends, gripper actions left out.

    Raises:
        UnknownName: an interface that does not exist.
    """
    topics = _TOPICS[checked_choice(node, "command.interface", ARM_INTERFACES)]
    commands = {topics[0]: topics[2]}
    gripper = checked_choice(node, "gripper.interface", GRIPPER_INTERFACES)
    if text(node, "gripper.axis") and gripper not in GRIPPER_ACTIONS:
        _, topic, type_name = _TOPICS[gripper]
        commands[topic] = type_name
    return commands


_TOPICS = {
    "joint_trajectory": ("joint_trajectory", "gripper_trajectory", "trajectory_msgs/msg/JointTrajectory"),
    "forward_position": ("joint_positions", "gripper_positions", "std_msgs/msg/Float64MultiArray"),
    "twist": ("delta_twist_cmds", "", "geometry_msgs/msg/TwistStamped"),
}
"""Interface -> topic for the arm, topic for a gripper on its own, type."""


class CommandOutput:
    """The publishers of one robot.

    Topics, all to be remapped: `joint_trajectory`, `joint_positions` or `delta_twist_cmds` for the arm;
    `gripper_trajectory`, `gripper_positions` or the action `gripper_cmd` for a gripper on its own.
    """

    def __init__(self, node: Node, limits: RobotLimits, clock: ControlClock, *, period_s: float) -> None:
        """Make the publishers that the parameters name.

        Raises:
            UnknownName, InvalidSetting: an interface or a gripper axis that does not exist.
            MissingDependency: the gripper needs control_msgs.
        """
        self._node, self._limits, self._clock, self._period_s = node, limits, clock, period_s
        self._frame_id = text(node, "command.frame_id")
        interface = checked_choice(node, "command.interface", ARM_INTERFACES)
        gripper = text(node, "gripper.axis")
        self._gripper_columns = [limits.index(gripper)] if gripper else []
        self._columns = [index for index in range(limits.n_axes) if index not in self._gripper_columns]
        if interface == "twist":
            self._columns = self._twist_columns()
        self._arm = _publisher(node, interface, _TOPICS[interface][0])
        self._gripper = None
        self._gripper_action = None
        if gripper:
            kind = checked_choice(node, "gripper.interface", GRIPPER_INTERFACES)
            if kind in GRIPPER_ACTIONS:
                axis = limits.axes[limits.index(gripper)]
                self._gripper_action = GripperAction(node, kind, axis, max_effort=number(node, "gripper.max_effort"))
            else:
                self._gripper = _publisher(node, kind, _TOPICS[kind][1])

    def _twist_columns(self) -> list[int]:
        names = [self._limits.names[column] for column in self._columns]
        unknown = [name for name in names if name not in command_messages.TWIST_AXES]
        if unknown:
            raise InvalidSetting(
                f"The interface 'twist' moves {', '.join(command_messages.TWIST_AXES)}; axes {', '.join(unknown)} are "
                "neither these nor the gripper."
            )
        return [self._limits.index(name) if name in names else -1 for name in command_messages.TWIST_AXES]

    def send(self, command: Command) -> None:
        """Publish one command."""
        way = stopping_way(command, self._limits, period_s=self._period_s)
        self._send(self._arm, command, way, self._columns)
        if self._gripper is not None:
            self._send(self._gripper, command, way, self._gripper_columns)
        if self._gripper_action is not None:
            self._gripper_action.send(float(way[-1].position[self._gripper_columns[0]]), command.stamp_s)

    def _send(self, publisher, command: Command, way: tuple[WayPoint, ...], columns: list[int]) -> None:
        if publisher.msg_type is JointTrajectory:
            names = [self._limits.names[column] for column in columns]
            publisher.publish(command_messages.joint_trajectory(way, names, columns))
        elif publisher.msg_type is Float64MultiArray:
            publisher.publish(command_messages.forward_position(command, columns))
        else:
            publisher.publish(
                command_messages.twist(
                    command,
                    columns,
                    period_s=self._period_s,
                    stamp_s=self._clock.ros_now_s(),
                    frame_id=self._frame_id,
                )
            )

    def close(self) -> None:
        """Take the publishers away."""
        for publisher in (self._arm, self._gripper):
            if publisher is not None:
                self._node.destroy_publisher(publisher)
        if self._gripper_action is not None:
            self._gripper_action.close()


def _publisher(node: Node, interface: str, topic: str):
    types = {"joint_trajectory": JointTrajectory, "forward_position": Float64MultiArray, "twist": TwistStamped}
    return node.create_publisher(types[interface], topic, qos.COMMAND)
