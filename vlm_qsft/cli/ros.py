"""`qsft ros`: what helps on a robot. `qsft ros doctor` looks at its topics before anything moves."""

from __future__ import annotations

import argparse
from pathlib import Path

from vlm_qsft.cli.arguments import CommandParser, one_of
from vlm_qsft.errors import InvalidSetting, MissingDependency

ACTIONS = ("doctor",)


def build_parser() -> CommandParser:
    """Return the arguments of `qsft ros`."""
    parser = CommandParser(
        "ros",
        description="Check topics, rates, clocks, frames and units of a robot against its configuration and a "
        "checkpoint. Listens only; sends nothing.",
    )
    parser.add_argument("action", type=one_of("action", ACTIONS), metavar="doctor", help="what to do")
    parser.add_argument(
        "--parameters", type=Path, action="append", default=[], help="parameter file of the controller; may be repeated"
    )
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder that is going to drive the robot")
    parser.add_argument("--remap", action="append", default=[], metavar="FROM:=TO", help="as the controller gets it")
    parser.add_argument("--sim-time", action="store_true", help="the controller will set use_sim_time")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to listen")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Print every finding.

    Raises:
        MissingDependency: no ROS 2, or the workspace is not built and sourced.
        InvalidSetting: a fault was found, a file does not exist, or the parameters describe no robot.
    """
    if not arguments.parameters:
        raise InvalidSetting("Give the controller's parameter file: --parameters .../qsft_bringup/config/<robot>.yaml")
    for file in arguments.parameters:
        if not file.is_file():
            raise InvalidSetting(f"{file} does not exist.")
    if not 0 < arguments.seconds <= 3600:
        raise InvalidSetting(f"--seconds is {arguments.seconds}: expected more than 0 and at most 3600.")
    try:
        from qsft_controller import doctor
    except ImportError as problem:
        raise MissingDependency(
            f"The ROS nodes cannot be imported ({problem}). Build and source the workspace: "
            "python ros2_ws/build.py && source ros2_ws/install/setup.bash"
        ) from problem
    parameters = {"use_sim_time": "true" if arguments.sim_time else "false"}
    if arguments.checkpoint is not None:
        parameters["checkpoint"] = str(arguments.checkpoint)
    print(f"Listening for {arguments.seconds:g} s. Nothing is sent.", flush=True)
    findings = doctor.run(arguments.parameters, parameters, arguments.remap, arguments.seconds)
    for finding in findings:
        print(f"{finding.state:<7}{finding.subject:<36}{finding.text}")
    faults = [finding for finding in findings if finding.state == "fault"]
    if faults:
        raise InvalidSetting(f"{len(faults)} of {len(findings)} findings forbid to activate the controller.")
    print("The controller can be configured and activated.")
