"""What `ros2 launch` does, without a ROS installation: start the nodes of a robot as processes and end them together.

python -m qsft_bringup.start simulator checkpoint:=runs/demo/q/policy
python -m qsft_bringup.start franka --show-args
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from qsft_bringup.resolution import ResolvedNode, resolve
from qsft_bringup.robots import ROBOTS, Robot

CONFIG = Path(__file__).resolve().parents[1] / "config"
SHUT_DOWN_S = 10.0


def config_folder() -> Path:
    """Return the parameter files: those of the installed package, else those beside the sources."""
    if CONFIG.is_dir():
        return CONFIG
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("qsft_bringup")) / "config"


def command_line(node: ResolvedNode) -> list[str]:
    """Return the words that start a node with this interpreter."""
    return [sys.executable, "-m", f"{node.package}.{node.executable}", "--ros-args", *node.arguments()]


def arguments_text(robot: Robot) -> str:
    """Return what `--show-args` prints."""
    lines = [robot.description, ""]
    for argument in robot.arguments:
        default = "must be given" if argument.default is None else f"default {argument.default or 'empty'}"
        choices = f" One of: {', '.join(argument.choices)}." if argument.choices else ""
        lines += [f"  {argument.name}:=  ({default})", f"      {argument.description}{choices}"]
    return "\n".join(lines)


def parse_arguments(words: Sequence[str]) -> dict[str, str]:
    """Return NAME:=VALUE words as a mapping. Raises ValueError: a word of another form."""
    given = {}
    for word in words:
        name, sign, value = word.partition(":=")
        if not sign or not name:
            raise ValueError(f"'{word}' is no launch argument: write NAME:=VALUE.")
        given[name] = value
    return given


def run(nodes: Sequence[ResolvedNode]) -> int:
    """Start the nodes and wait; when one fails or this process is interrupted, the others are ended.

    Returns the exit status of the first node that failed, else 0. A node that ends well leaves the others running.
    """
    processes = [subprocess.Popen(command_line(node)) for node in nodes]
    status = 0
    try:
        # A signal to the terminal's group reaches every node; this process only waits for them.
        signal.signal(signal.SIGTERM, _interrupt)
        by_id = {process.pid: process for process in processes}
        while by_id:
            ended, code = os.wait()
            process = by_id.pop(ended, None)
            if process is None:
                continue
            process.returncode = os.waitstatus_to_exitcode(code)
            if process.returncode != 0:
                status = process.returncode
                break
    except KeyboardInterrupt:
        pass
    _end(processes)
    return status


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(SHUT_DOWN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> int:
    """Start a robot. Returns 2 for what the user can mend."""
    words = sys.argv[1:]
    if not words or words[0] not in ROBOTS:
        rows = "\n".join(f"  {robot.name:<26}{robot.description}" for robot in ROBOTS.values())
        print(f"usage: start ROBOT NAME:=VALUE ... | ROBOT --show-args\n\n{rows}", file=sys.stderr)
        return 2
    robot = ROBOTS[words[0]]
    if "--show-args" in words or "-s" in words:
        print(arguments_text(robot))
        return 0
    try:
        nodes = resolve(robot, parse_arguments(words[1:]), config_folder())
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    return run(nodes)


if __name__ == "__main__":
    sys.exit(main())
