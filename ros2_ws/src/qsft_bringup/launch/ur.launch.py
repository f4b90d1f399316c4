"""Universal Robots arms with ur_robot_driver and a gripper that takes GripperCommand.

Arguments: `ros2 launch qsft_bringup ur.launch.py --show-args`.
"""

from launch import LaunchDescription  # pyright: ignore (comes with a ROS installation)
from qsft_bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    return describe("ur")
