"""Nodes that cannot start say why in one line and end with status 2."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")

from running_node import PATIENCE_S


@pytest.mark.parametrize(
    ("module", "words", "told"),
    [
        ("recorder_node", [], "The recorder needs the parameters folder and topics"),
        ("recorder_node", ["-p", "folder:=x", "-p", "topics:=[/a]", "-p", "storage:=tape"], "'tape'"),
        ("sim_robot_node", ["-p", "back_end:=crayons"], "'crayons'"),
        ("sim_robot_node", ["-p", "task:=fly"], "'fly'"),
        ("sim_robot_node", ["-p", "cameras:=[ceiling]"], "'ceiling'"),
    ],
)
def test_a_node_that_its_parameters_forbid_ends_with_one_line(module: str, words: list[str], told: str) -> None:
    program = [sys.executable, "-m", f"qsft_controller.{module}", "--ros-args", *words]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 2, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
