"""The parameters of the simulated robot: declared with their meaning, unit and range, and read as settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rclpy.node import Node

from qsft_controller.controller_parameters import checked_choice
from qsft_controller.parameters import ParameterDeclaration as Declaration
from qsft_controller.parameters import integer, number, strings, text
from qsft_sim.environment import EnvironmentSettings
from qsft_sim.model import CAMERAS
from qsft_sim.qualities import QUALITIES
from qsft_sim.randomisation import VARIANTS
from qsft_sim.rendering import BACK_ENDS
from qsft_sim.seeds import EVALUATION, RECORDING, TUNING
from qsft_sim.sensor_faults import NUMBER_FAULTS, PICTURE_FAULTS, FaultySensor, SensorFault
from qsft_sim.simulated_robot_settings import SceneChoice, SimulatedRobotSettings
from qsft_sim.tasks import TASKS
from vlm_qsft.errors import UnknownName

SCENES = {"recording": RECORDING, "tuning": TUNING, "evaluation": EVALUATION}
JOINT_STATES = "joint_states"
TRANSPORTS = ("raw", "compressed")
SCENE_PARAMETERS = ("task", "scenes", "episode", "scene_seed")
LARGEST = 2**31 - 1

DECLARATIONS = (
    Declaration("task", "pick", f"Task of the next scene: {', '.join(TASKS)}.", read_only=False),
    Declaration("scenes", "evaluation", f"Set of the next scene: {', '.join(SCENES)}.", read_only=False),
    Declaration("episode", 0, "Number of the next scene in its set.", 0, LARGEST, read_only=False),
    Declaration("scene_seed", 0, "Another seed gives other scenes of a set.", 0, LARGEST, read_only=False),
    Declaration("autostart", True, "Set the first scene at once; false: wait for ~/reset, until a recorder listens."),
    Declaration("episodes", 1, "How many scenes follow each other without a call of ~/reset.", 1, LARGEST),
    Declaration("variant", "standard", f"Variant of the scenes: {', '.join(VARIANTS)}."),
    Declaration("cameras", ["front", "wrist"], f"Cameras, of {', '.join(CAMERAS)}."),
    Declaration("image_height", 64, "Height of the pictures, pixels.", 8, 4096),
    Declaration("image_width", 64, "Width of the pictures, pixels.", 8, 4096),
    Declaration("image_transport", "raw", f"How pictures are sent: {', '.join(TRANSPORTS)} (PNG)."),
    Declaration("camera_hz", 10.0, "Pictures per second of simulated time.", 0.1, 50.0),
    Declaration("action_dim", 5, "Numbers of a demonstrator's action, 5 or 7.", 5, 7),
    Declaration("real_time_factor", 1.0, "Simulated seconds per second; 0: as fast as possible.", 0.0, 100.0),
    Declaration("wait_for_commands", False, "Let time pass only while the controller keeps up; see sim_robot_node."),
    Declaration("time_limit_s", 16.0, "An episode that lasts longer has failed, simulated s.", 0.1, 1e6),
    Declaration("demonstrator", "", f"Who drives instead of commands: {', '.join(QUALITIES)}; empty for nobody."),
    Declaration("back_end", "auto", f"What draws the pictures: {', '.join(BACK_ENDS)}."),
    Declaration("fault_delay_s", 0.5, "Delay of the faults late and clock_back, s.", 0.001, 1e6, read_only=False),
)


def fault_declarations(cameras: tuple[str, ...]) -> tuple[Declaration, ...]:
    """Return the parameters that make a sensor fail, one per sensor."""
    possible = {**dict.fromkeys(cameras, PICTURE_FAULTS), JOINT_STATES: NUMBER_FAULTS}
    return tuple(
        Declaration(f"fault.{name}", SensorFault.NONE.value, f"One of {', '.join(sorted(faults))}.", read_only=False)
        for name, faults in possible.items()
    )


def robot_settings(node: Node) -> SimulatedRobotSettings:
    """Return the settings of the robot. Raises QsftError: one of them is outside its range."""
    checked_choice(node, "image_transport", TRANSPORTS)
    environment = EnvironmentSettings(
        cameras=strings(node, "cameras"),
        image_size=(integer(node, "image_height"), integer(node, "image_width")),
        action_dim=integer(node, "action_dim"),
        variant=text(node, "variant"),
        back_end=text(node, "back_end"),
    )
    return SimulatedRobotSettings(
        environment,
        camera_hz=number(node, "camera_hz"),
        time_limit_s=number(node, "time_limit_s"),
        demonstrator=text(node, "demonstrator") or None,
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
