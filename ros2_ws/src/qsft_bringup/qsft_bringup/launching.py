"""A robot as a description for `ros2 launch`; the only module here that needs a ROS installation's launch packages."""

# launch and launch_ros come with a ROS installation only.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

from launch import LaunchContext, LaunchDescription
from qsft_bringup.resolution import ResolvedNode, resolve
from qsft_bringup.robots import ROBOTS, Argument, Robot


def describe(name: str) -> LaunchDescription:
    """Return the launch description of a robot."""
    robot = ROBOTS[name]
    declared = [_declaration(argument) for argument in robot.arguments]
    return LaunchDescription([*declared, OpaqueFunction(function=_nodes, args=[robot])])


def _declaration(argument: Argument) -> DeclareLaunchArgument:
    choices = list(argument.choices) or None
    return DeclareLaunchArgument(
        argument.name, default_value=argument.default, description=argument.description, choices=choices
    )


def _nodes(context: LaunchContext, robot: Robot) -> list[Node]:
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in robot.arguments}
    config = Path(get_package_share_directory("qsft_bringup")) / "config"
    lifecycle = {node.name for node in robot.nodes if node.is_lifecycle}
    return [_action(node, is_lifecycle=node.name in lifecycle) for node in resolve(robot, given, config)]


def _action(node: ResolvedNode, *, is_lifecycle: bool) -> Node:
    kind = LifecycleNode if is_lifecycle else Node
    return kind(
        package=node.package,
        executable=node.executable,
        name=node.name,
        namespace="",
        parameters=[*(str(file) for file in node.files), dict(node.parameters)],
        remappings=list(node.remappings.items()),
        output="screen",
    )
