"""The simulated tabletop: the same nodes and topics as on an arm, for those without one.

Arguments: `ros2 launch qsft_bringup simulator.launch.py --show-args`.
"""

from launch import LaunchDescription  # pyright: ignore (comes with a ROS installation)
from qsft_bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    return describe("simulator")
