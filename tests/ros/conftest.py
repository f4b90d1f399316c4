"""ROS 2 for tests: a domain of their own on this machine, the built interfaces, and one executor for all test nodes."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

WORKSPACE = Path(__file__).resolve().parents[2] / "ros2_ws"


def load(name: str):
    """Return a script of the workspace, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location(f"ros2_ws_{name}", WORKSPACE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if importlib.util.find_spec("rclpy") is None:
    # test_installation.py says why.
    collect_ignore_glob = ["test_controller*.py", "test_instruction*.py"]
else:
    # Process numbers of test workers follow each other, so that each has a domain of its own. Above 101 the ports of a
    # domain may be taken by other programs.
    ENVIRONMENT = load("environment")
    os.environ.update(ENVIRONMENT.node_environment(domain_id=1 + os.getpid() % 100))
    # Shared memory of nodes that tests kill stays behind; what comes over the loopback leaves nothing.
    os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"
    ENVIRONMENT.load_interfaces()
    for folder in reversed([*ENVIRONMENT.python_path(), str(Path(__file__).parent)]):
        if folder not in sys.path:
            sys.path.insert(0, folder)


@pytest.fixture(scope="session")
def ros() -> Iterator[None]:
    """Initialise rclpy once for all tests of this process."""
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()
