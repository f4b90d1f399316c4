"""Any arm behind MoveIt Servo: the policy's tool deltas become velocities of the tool.

Arguments: `ros2 launch qsft_bringup moveit_servo.launch.py --show-args`.
"""

from launch import LaunchDescription  # pyright: ignore (comes with a ROS installation)
from qsft_bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    return describe("moveit_servo")
