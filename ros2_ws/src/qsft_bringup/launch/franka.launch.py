"""Franka Research 3 with franka_ros2 and the Franka Hand.

Arguments: `ros2 launch qsft_bringup franka.launch.py --show-args`.
"""

from launch import LaunchDescription  # pyright: ignore (comes with a ROS installation)
from qsft_bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    return describe("franka")
