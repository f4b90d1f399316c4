"""A scripted demonstrator drives the simulated arm into a bag. Begin with: ros2 service call /sim_robot/reset.

Arguments: `ros2 launch qsft_bringup simulator_demonstrations.launch.py --show-args`.
"""

from launch import LaunchDescription  # pyright: ignore (comes with a ROS installation)
from qsft_bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    return describe("simulator_demonstrations")
