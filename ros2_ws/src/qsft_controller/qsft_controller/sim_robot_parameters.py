"""The parameters of the simulated robot: declared with their meaning, unit and range, and read as settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from qsft_sim.demonstrators import QUALITIES
from qsft_sim.environment import EnvironmentSettings
from qsft_sim.model import CAMERAS
from qsft_sim.randomisation import VARIANTS
from qsft_sim.rendering import BACK_ENDS
from qsft_sim.robot_settings import RobotSettings, SceneChoice
from qsft_sim.seeds import EVALUATION, RECORDING, TUNING
from qsft_sim.sensor_faults import NUMBER_FAULTS, PICTURE_FAULTS, FaultySensor, SensorFault
from qsft_sim.tasks import TASKS
from vlm_qsft.errors import UnknownName

SCENES = {"recording": RECORDING, "tuning": TUNING, "evaluation": EVALUATION}
TRANSPORTS = ("raw", "compressed")
SCENE_PARAMETERS = ("task", "scenes", "episode", "scene_seed")
SETTING_PARAMETERS = (
    "variant",
    "cameras",
    "image_height",
    "image_width",
    "image_transport",
    "camera_hz",
    "action_dim",
    "time_limit_s",
    "demonstrator",
    "back_end",
)
LARGEST = 2**31 - 1


def _fixed(text: str, **limits: Any) -> ParameterDescriptor:
    return ParameterDescriptor(description=text, read_only=True, **limits)


def _whole(low: int, high: int) -> dict[str, list[IntegerRange]]:
    return {"integer_range": [IntegerRange(from_value=low, to_value=high, step=0)]}


def _real(low: float, high: float) -> dict[str, list[FloatingPointRange]]:
    return {"floating_point_range": [FloatingPointRange(from_value=low, to_value=high, step=0.0)]}


def declare_parameters(node: Node) -> None:
    """Declare every parameter; those that a running robot cannot change are read-only."""
    text = ParameterDescriptor
    table: list[tuple[str, Any, ParameterDescriptor]] = [
        ("task", "pick", text(description=f"Task of the next scene: {', '.join(TASKS)}.")),
        ("scenes", "evaluation", text(description=f"Set of the next scene: {', '.join(SCENES)}.")),
        ("episode", 0, text(description="Number of the next scene in its set.", **_whole(0, LARGEST))),
        ("scene_seed", 0, text(description="Another seed gives other scenes of a set.", **_whole(0, LARGEST))),
        ("autostart", True, _fixed("Set the first scene at once; false: wait for ~/reset, until a recorder listens.")),
        ("episodes", 1, _fixed("How many scenes follow each other without a call of ~/reset.", **_whole(1, LARGEST))),
        ("variant", "standard", _fixed(f"Variant of the scenes: {', '.join(VARIANTS)}.")),
        ("cameras", ["front", "wrist"], _fixed(f"Cameras, of {', '.join(CAMERAS)}.")),
        ("image_height", 64, _fixed("Height of the pictures, pixels.", **_whole(8, 4096))),
        ("image_width", 64, _fixed("Width of the pictures, pixels.", **_whole(8, 4096))),
        ("image_transport", "raw", _fixed(f"How pictures are sent: {', '.join(TRANSPORTS)} (PNG).")),
        ("camera_hz", 10.0, _fixed("Pictures per second of simulated time.", **_real(0.1, 50.0))),
        ("action_dim", 5, _fixed("Numbers of a demonstrator's action, 5 or 7.", **_whole(5, 7))),
        ("real_time_factor", 1.0, _fixed("Simulated seconds per second; 0: as fast as possible.", **_real(0.0, 100.0))),
        ("time_limit_s", 16.0, _fixed("An episode that lasts longer has failed, simulated s.", **_real(0.1, 1e6))),
        ("demonstrator", "", _fixed(f"Who drives instead of commands: {', '.join(QUALITIES)}; empty for nobody.")),
        ("back_end", "auto", _fixed(f"What draws the pictures: {', '.join(BACK_ENDS)}.")),
        ("fault_delay_s", 0.5, text(description="Delay of the faults late and clock_back, s.", **_real(0.001, 1e6))),
    ]
    for name, default, descriptor in table:
        node.declare_parameter(name, default, descriptor)
    for camera in node.get_parameter("cameras").value or []:
        valid = ", ".join(sorted(PICTURE_FAULTS))
        node.declare_parameter(f"fault.{camera}", SensorFault.NONE.value, text(description=f"One of {valid}."))
    valid = ", ".join(sorted(NUMBER_FAULTS))
    node.declare_parameter("fault.joint_states", SensorFault.NONE.value, text(description=f"One of {valid}."))


def robot_settings(node: Node) -> RobotSettings:
    """Return the settings of the robot. Raises QsftError: one of them is outside its range."""
    value = {name: node.get_parameter(name).value for name in SETTING_PARAMETERS}
    if value["image_transport"] not in TRANSPORTS:
        raise UnknownName("image transport", str(value["image_transport"]), TRANSPORTS)
    environment = EnvironmentSettings(
        cameras=tuple(value["cameras"]),
        image_size=(value["image_height"], value["image_width"]),
        action_dim=value["action_dim"],
        variant=value["variant"],
        back_end=value["back_end"],
    )
    return RobotSettings(
        environment,
        camera_hz=value["camera_hz"],
        time_limit_s=value["time_limit_s"],
        demonstrator=value["demonstrator"] or None,
    )


def scene_choice(node: Node, changed: Mapping[str, Any] | None = None) -> SceneChoice:
    """Return the scene that the parameters name.

    Args:
        changed: values that are about to be taken.

    Raises:
        UnknownName, InvalidSetting: no such task or set.
    """
    value = {name: node.get_parameter(name).value for name in SCENE_PARAMETERS} | dict(changed or {})
    if value["scenes"] not in SCENES:
        raise UnknownName("set of scenes", str(value["scenes"]), SCENES)
    return SceneChoice(value["task"], SCENES[value["scenes"]], value["episode"], value["scene_seed"])


def fault_parameters(sensors: Mapping[str, FaultySensor]) -> dict[str, FaultySensor]:
    """Return parameter name -> the sensor whose fault it sets."""
    return {f"fault.{name}": sensor for name, sensor in sensors.items()}
