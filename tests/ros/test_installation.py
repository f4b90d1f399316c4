"""What the other tests of this folder need; where it is missing they are not collected, and this says so."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

NEEDED = {
    "rclpy": "ROS 2 is not installed: pip install 'vlm-qsft[ros]', or source a ROS 2 installation",
    "qsft_interfaces": "the interfaces of ros2_ws are not built: make ros",
}


@pytest.mark.parametrize("package", NEEDED)
def test_ros_and_the_built_interfaces_are_here(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(NEEDED[package])
    assert importlib.import_module(package).__name__ == package
