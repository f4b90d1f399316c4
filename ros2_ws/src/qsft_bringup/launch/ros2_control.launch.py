"""Any arm with a joint_trajectory_controller of ros2_control: copy its parameter file and fill it in.

Arguments: `ros2 launch qsft_bringup ros2_control.launch.py --show-args`.
"""

from launch import LaunchDescription  # pyright: ignore (comes with a ROS installation)
from qsft_bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    return describe("ros2_control")
