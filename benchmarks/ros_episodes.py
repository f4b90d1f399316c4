"""Drives the first scenes of the evaluation over ROS and prints one JSON line per episode.

python benchmarks/ros_episodes.py N
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import rclpy

from qsft_controller.episode_driver import EpisodeDriver


def main() -> int:
    """Drive and print."""
    rclpy.init()
    driver = EpisodeDriver(patience_s=300.0)
    for episode in range(int(sys.argv[1])):
        print(json.dumps(asdict(driver.drive("pick", episode))), flush=True)
    driver.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
