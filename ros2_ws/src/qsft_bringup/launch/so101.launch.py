"""SO-101 with ros2_control; actions as LeRobot records them, in degrees.

Arguments: `ros2 launch qsft_bringup so101.launch.py --show-args`.
"""

from launch import LaunchDescription  # pyright: ignore (comes with a ROS installation)
from qsft_bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    return describe("so101")
