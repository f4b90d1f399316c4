"""Every parameter of the controller node, and the robot that they describe."""

from __future__ import annotations

import math
from pathlib import Path

from rclpy.node import Node

from qsft_controller.named_object import named_object
from qsft_controller.parameters import ParameterDeclaration as Declaration
from qsft_controller.parameters import declare, flag, integer, number, numbers, strings, text
from vlm_qsft.control import AxisAction, AxisLimits, CameraInput, ControlSettings, WorkspaceBox
from vlm_qsft.control.kinematics import Kinematics
from vlm_qsft.control.robot import AxisSettings, RobotSettings, limits_with_description
from vlm_qsft.control.state_sources import StateSource
from vlm_qsft.control.tool_mapping import ToolAction
from vlm_qsft.control.urdf import UrdfJoint, UrdfKinematics, parse_urdf
from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.remote import RemoteSettings, ServerAddress

NOT_GIVEN = -1e9
"""Default of limits that a robot description may give; no axis reaches it."""

POLICY = (
    Declaration("checkpoint", "", "Folder of the trained checkpoint."),
    Declaration("device", "cpu", "Where the checkpoint's networks run: cpu, cuda, cuda:1."),
    Declaration("policy", "", "Instead of a checkpoint: MODULE:FUNCTION that returns a policy with its interface."),
    Declaration("policy_server.address", "", "Instead of a checkpoint: HOST:PORT of a `qsft serve`."),
    Declaration("policy_server.token_file", "", "File with the token of the policy server, readable by its owner."),
    Declaration("policy_server.tls_ca", "", "PEM file of the certificates to trust; empty: no TLS."),
    Declaration("policy_server.without_tls", False, "Allow a network that others can listen to without TLS."),
    Declaration("policy_server.pictures", "raw", "'raw', or 'jpeg': a tenth of the network, pixels change a little."),
    Declaration(
        "policy_server.timeout_s", 0.8, "Longest wait for the server; below decision_timeout_s, s.", 0.01, 60.0
    ),
    Declaration("explain", True, "Compute Q-values also where the policy does not need them, for the action scores."),
    Declaration("seed", -1, "Seed of the policy's random draws; -1 for another one at every instruction.", -1),
    Declaration("instruction", "", "What the robot is told to do; takes effect when set.", read_only=False),
    Declaration("instruction_time_limit_s", 0.0, "Time limit of instructions by topic and parameter, s; 0: none.", 0.0),
    Declaration(
        "success_value", 0.0, "A value at or above this ends a goal as followed, in [0, 1]; 0: never.", 0.0, 1.0
    ),
)
TIMING = (
    Declaration("control_period_s", 0.05, "Time between two commands, s.", 0.001, 1.0),
    Declaration("step_s", 0.0, "Duration of one step of an action chunk, s; 0: the checkpoint's own.", 0.0, 10.0),
    Declaration("execute_steps", 1, "Steps of a chunk that are executed before the next decision.", 1, 1000),
    Declaration("while_thinking", "wait", "'wait': rest until the decision comes; 'continue': go on with the chunk."),
    Declaration("decision_timeout_s", 1.0, "Longest wait for a decision before the arm holds, s.", 0.01, 60.0),
    Declaration("max_tick_gap_s", 0.5, "Longest time between two control ticks before the arm holds, s.", 0.01, 10.0),
    Declaration(
        "min_value", -1.0, "A decision of lower value makes the arm hold, in [0, 1]; below 0: never.", -1.0, 1.0
    ),
    Declaration(
        "synchronization_tolerance_s", 0.05, "Stamps of one observation differ by at most this, s.", 0.001, 1.0
    ),
    Declaration("thread_priority", 0, "Real-time priority of the control loop, 1 to 99; 0: ordinary.", 0, 99),
    Declaration("trust_stamps", True, "Stamps are of this machine's clock: their age counts, besides their arrival."),
)
ROBOT = (
    Declaration("axes", [""], "Names of the commanded axes, in the order of the joint command."),
    Declaration("cameras", [""], "Names of the cameras, as the checkpoint calls them."),
    Declaration("state_sources", [""], "Source of every number of the state: joint.NAME.position, tool.x, pose.x ..."),
    Declaration(
        "measurement_max_age_s", 0.2, "Joint states and poses older than this make the arm hold, s.", 0.001, 10.0
    ),
    Declaration("robot_description", "", "URDF text: limits and kinematics are read from it."),
    Declaration("urdf_path", "", "File of the URDF, where robot_description is empty."),
    Declaration("command.interface", "joint_trajectory", "'joint_trajectory', 'forward_position' or 'twist'."),
    Declaration("command.frame_id", "base_link", "Frame of twists and of the workspace."),
    Declaration("gripper.axis", "", "The axis that is commanded on its own; empty: all axes in one command."),
    Declaration(
        "gripper.interface",
        "joint_trajectory",
        "'joint_trajectory', 'forward_position', 'gripper_command' or 'parallel_gripper_command'.",
    ),
    Declaration(
        "gripper.max_effort", 0.0, "Largest gripper force of gripper_command, N; 0: the driver's.", 0.0, 1000.0
    ),
)
TOOL = (
    Declaration("kinematics", "", "'urdf', or MODULE:CLASS of a kinematics without arguments; empty: none."),
    Declaration("arm_joints", [""], "The axes that kinematics moves, in its order."),
    Declaration("base_link", "base_link", "First link of the chain of the URDF kinematics."),
    Declaration("tool_link", "tool0", "Last link of the chain of the URDF kinematics."),
    Declaration("tool.move", [""], "Action dimensions that move the tool along x, y, z; empty: axes read the action."),
    Declaration("tool.turn", ["-", "-", "-"], "Action dimensions that turn the tool about x, y, z; '-' for none."),
    Declaration("tool.move_scale_m", 1.0, "m per unit of a move.", 0.0),
    Declaration("tool.turn_scale_rad", 1.0, "rad per unit of a turn.", 0.0),
    Declaration("tool.reference_turn_rad", [math.pi, 0.0, 0.0], "Roll, pitch, yaw from which turns count, rad."),
    Declaration("tool.largest_turn_rad", [0.5, 0.5, 1.6], "Roll, pitch, yaw stay within plus or minus this, rad."),
    Declaration("tool.tolerance_m", 0.02, "A pose that inverse kinematics misses by more makes the arm hold, m.", 0.0),
    Declaration("workspace.lower_m", [0.0], "Smallest x, y, z of the tool, m; one number: no workspace."),
    Declaration("workspace.upper_m", [0.0], "Largest x, y, z of the tool, m."),
    Declaration("workspace.margin_m", 0.02, "The arm holds this far outside of the workspace of tool actions, m.", 0.0),
)
DECLARATIONS = (*POLICY, *TIMING, *ROBOT, *TOOL)


def axis_declarations(name: str) -> tuple[Declaration, ...]:
    """Return the parameters of one axis."""
    group = f"axis.{name}"
    return (
        Declaration(f"{group}.unit", "rad", "Unit of the axis: rad, m, or 1."),
        Declaration(f"{group}.source", "", "Where it is measured; empty: joint.NAME.position of its own name."),
        Declaration(f"{group}.lower", NOT_GIVEN, "Smallest position, unit; not given: the robot description's."),
        Declaration(f"{group}.upper", NOT_GIVEN, "Largest position, unit; not given: the robot description's."),
        Declaration(f"{group}.velocity", NOT_GIVEN, "Largest speed, unit/s; not given: the robot description's."),
        Declaration(f"{group}.acceleration", 5.0, "Largest acceleration, unit/s^2.", 0.0),
        Declaration(f"{group}.goal_jump", 0.5, "A goal farther than this from the one before makes the arm hold.", 0.0),
        Declaration(f"{group}.measurement_jump", 0.2, "A measurement that jumps farther makes the arm hold.", 0.0),
        Declaration(f"{group}.measurement_tolerance", 0.01, "How far outside its limits an axis may be measured.", 0.0),
        Declaration(f"{group}.action", "", "Action dimension that it reads; empty for joints that the tool moves."),
        Declaration(f"{group}.kind", "absolute", "'absolute', 'delta_from_goal', 'delta_from_measured' or 'switch'."),
        Declaration(f"{group}.scale", 1.0, "Axis units per unit of the action."),
        Declaration(f"{group}.offset", 0.0, "Axis units."),
        Declaration(f"{group}.interpolation", "linear", "'linear' between two steps, or 'step'."),
    )


def camera_declarations(name: str) -> tuple[Declaration, ...]:
    """Return the parameters of one camera."""
    group = f"camera.{name}"
    return (
        Declaration(
            f"{group}.topic", f"/camera/{name}/image_raw", "Topic of the raw pictures; compressed ones beside."
        ),
        Declaration(f"{group}.transport", "raw", "'raw' or 'compressed' (JPEG or PNG on TOPIC/compressed)."),
        Declaration(f"{group}.max_age_s", 0.3, "Pictures older than this make the arm hold, s.", 0.001, 10.0),
        Declaration(f"{group}.frozen_after_s", 1.0, "Pictures unchanged for this long are frozen, s; 0: never.", 0.0),
        Declaration(
            f"{group}.frozen_motion", 0.0, "... and only when an axis has moved by this since; 0: always.", 0.0
        ),
        Declaration(f"{group}.min_contrast", 4, "Pictures of less contrast (0 to 255) are blank.", 0, 255),
    )


def declare_controller(node: Node) -> None:
    """Declare all parameters of the controller node."""
    declare(node, DECLARATIONS)
    for name in strings(node, "axes"):
        declare(node, axis_declarations(name))
    for name in strings(node, "cameras"):
        declare(node, camera_declarations(name))


def policy_server(node: Node) -> RemoteSettings | None:
    """Return how to ask the policy server; None where none is named. Raises InvalidSetting, UnknownName."""
    address = text(node, "policy_server.address")
    if not address:
        return None
    authority = text(node, "policy_server.tls_ca")
    return RemoteSettings(
        ServerAddress.parse(address),
        Path(text(node, "policy_server.token_file")).expanduser(),
        tls_ca=Path(authority).expanduser() if authority else None,
        without_tls=flag(node, "policy_server.without_tls"),
        pictures=text(node, "policy_server.pictures"),  # pyright: ignore[reportArgumentType] (checked by the class)
        timeout_s=number(node, "policy_server.timeout_s"),
    )


def control_settings(node: Node, step_s: float) -> ControlSettings:
    """Return the timing. Raises InvalidSetting, UnknownName.

    Args:
        node: with its parameters declared.
        step_s: of the policy.
    """
    own_s, min_value = number(node, "step_s"), number(node, "min_value")
    return ControlSettings(
        period_s=number(node, "control_period_s"),
        step_s=own_s if own_s > 0 else step_s,
        execute_steps=integer(node, "execute_steps"),
        while_thinking=text(node, "while_thinking"),  # pyright: ignore[reportArgumentType] (checked by the class)
        decision_timeout_s=number(node, "decision_timeout_s"),
        max_tick_gap_s=number(node, "max_tick_gap_s"),
        min_value=min_value if min_value >= 0 else None,
    )


def robot_settings(node: Node) -> RobotSettings:
    """Return the robot.

    Raises:
        UnknownName, InvalidSetting: a parameter that is missing, outside its range, or contradicts another.
        StorageError: the URDF cannot be read.
    """
    joints = _description(node)
    arm_joints = strings(node, "arm_joints")
    tool, box = _tool(node), _box(node, 0.0)
    margin_m = number(node, "workspace.margin_m") if tool is not None else 0.0
    return RobotSettings(
        axes=tuple(_axis(node, name, joints) for name in strings(node, "axes")),
        cameras=tuple(_camera(node, name) for name in strings(node, "cameras")),
        state_sources=tuple(StateSource.parse(source) for source in strings(node, "state_sources")),
        measurement_max_age_s=number(node, "measurement_max_age_s"),
        kinematics=_kinematics(node, joints),
        arm_joints=arm_joints,
        tool=tool,
        workspace=None if box is None else _box(node, margin_m),
        reference_turn_rad=_three(node, "tool.reference_turn_rad"),
    )


def _axis(node: Node, name: str, joints: dict[str, UrdfJoint]) -> AxisSettings:
    def value(field: str) -> float:
        return number(node, f"axis.{name}.{field}")

    source = StateSource.parse(text(node, f"axis.{name}.source") or f"joint.{name}.position")
    described = {joint.name: (joint.lower, joint.upper, joint.velocity) for joint in joints.values()}
    given = {field: value(field) for field in ("lower", "upper", "velocity") if value(field) != NOT_GIVEN}
    limits = AxisLimits(
        name=name,
        unit=text(node, f"axis.{name}.unit"),
        **limits_with_description(source.name or name, described, given),
        acceleration=value("acceleration"),
        goal_jump=value("goal_jump"),
        measurement_jump=value("measurement_jump"),
        measurement_tolerance=value("measurement_tolerance"),
    )
    action = text(node, f"axis.{name}.action")
    reads = AxisAction(
        axis=name,
        action=action,
        kind=text(node, f"axis.{name}.kind"),  # pyright: ignore[reportArgumentType] (checked by the class)
        scale=value("scale"),
        offset=value("offset"),
        interpolation=text(node, f"axis.{name}.interpolation"),  # pyright: ignore[reportArgumentType]
    )
    return AxisSettings(limits, source, reads if action else None)


def _camera(node: Node, name: str) -> CameraInput:
    frozen_after_s, frozen_motion = (
        number(node, f"camera.{name}.{field}") for field in ("frozen_after_s", "frozen_motion")
    )
    return CameraInput(
        name=name,
        max_age_s=number(node, f"camera.{name}.max_age_s"),
        frozen_after_s=frozen_after_s if frozen_after_s > 0 else None,
        frozen_motion=frozen_motion if frozen_motion > 0 else None,
        min_contrast=integer(node, f"camera.{name}.min_contrast"),
    )


def _description(node: Node) -> dict[str, UrdfJoint]:
    description, path = text(node, "robot_description"), text(node, "urdf_path")
    if description:
        return parse_urdf(description)
    if not path:
        return {}
    if not Path(path).is_file():
        raise InvalidSetting(f"urdf_path names no file: {path}.")
    return parse_urdf(Path(path).read_text(encoding="utf-8"))


def _kinematics(node: Node, joints: dict[str, UrdfJoint]) -> Kinematics | None:
    name = text(node, "kinematics")
    if not name:
        return None
    if name != "urdf":
        return named_object(name, "kinematics")()
    kinematics = UrdfKinematics(joints, base_link=text(node, "base_link"), tool_link=text(node, "tool_link"))
    if kinematics.joint_names != strings(node, "arm_joints"):
        raise InvalidSetting(
            f"arm_joints must be the joints of the chain, in its order: {', '.join(kinematics.joint_names)}; "
            f"got {', '.join(strings(node, 'arm_joints')) or 'none'}."
        )
    return kinematics


def _tool(node: Node) -> ToolAction | None:
    move = strings(node, "tool.move")
    if not move:
        return None
    turn = tuple("" if name == "-" else name for name in strings(node, "tool.turn"))
    box = _box(node, 0.0)
    if len(move) != 3 or len(turn) != 3 or box is None:
        raise InvalidSetting("Actions of the tool need tool.move and tool.turn of 3 names each, and a workspace.")
    return ToolAction(
        move=(move[0], move[1], move[2]),
        turn=(turn[0], turn[1], turn[2]),
        move_scale_m=number(node, "tool.move_scale_m"),
        turn_scale_rad=number(node, "tool.turn_scale_rad"),
        reference_turn_rad=_three(node, "tool.reference_turn_rad"),
        largest_turn_rad=_three(node, "tool.largest_turn_rad"),
        workspace=box,
        tolerance_m=number(node, "tool.tolerance_m"),
    )


def _box(node: Node, margin_m: float) -> WorkspaceBox | None:
    if len(numbers(node, "workspace.lower_m")) == 1:
        return None
    lower, upper = (_three(node, f"workspace.{side}_m") for side in ("lower", "upper"))
    return WorkspaceBox(
        (lower[0] - margin_m, lower[1] - margin_m, lower[2] - margin_m),
        (upper[0] + margin_m, upper[1] + margin_m, upper[2] + margin_m),
    )


def _three(node: Node, name: str) -> tuple[float, float, float]:
    values = numbers(node, name)
    if len(values) != 3:
        raise InvalidSetting(f"{name} must be 3 numbers, got {len(values)}.")
    return values[0], values[1], values[2]


def checked_choice(node: Node, name: str, choices: tuple[str, ...]) -> str:
    """Return a parameter that is one of a few words. Raises UnknownName."""
    choice = text(node, name)
    if choice not in choices:
        raise UnknownName(name, choice, choices)
    return choice


__all__ = ["DECLARATIONS", "checked_choice", "control_settings", "declare_controller", "flag", "robot_settings"]
