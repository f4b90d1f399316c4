"""A robot's configuration: its axes, cameras and kinematics, checked against a policy and made into a controller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control.action_mapping import ActionMapping, AxisAction, GoalMapping
from vlm_qsft.control.controller import Controller
from vlm_qsft.control.inputs import MEASUREMENT
from vlm_qsft.control.kinematics import Kinematics, rotation_from_turn, turn_from_rotation
from vlm_qsft.control.limits import AxisLimits, RobotLimits
from vlm_qsft.control.settings import ControlSettings
from vlm_qsft.control.state_sources import JointReading, StateReader, StateSource, read_positions
from vlm_qsft.control.tool_mapping import ToolAction, ToolActionMapping
from vlm_qsft.control.watchdog import CameraInput, VectorInput
from vlm_qsft.control.workspace import Workspace, WorkspaceBox
from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.policy.interface import PolicyInterface

POSE = "end_effector_pose"
"""Name of the input that holds x, y, z, roll, pitch, yaw of the end-effector pose topic."""

LARGEST_ANGLE_RAD = 8 * math.pi
"""No joint of an arm turns farther: limits beyond it are degrees taken for rad."""


@dataclass(frozen=True)
class AxisSettings:
    """One commanded axis.

    Attributes:
        limits: with its name.
        source: where its position is measured: `joint.NAME.position` or, for a Cartesian axis, `pose.x`.
        action: how it reads the action; None for the joints of a `ToolAction`.
    """

    limits: AxisLimits
    source: StateSource
    action: AxisAction | None


@dataclass(frozen=True)
class RobotSettings:
    """Everything that is known of a robot before a policy is loaded.

    Attributes:
        axes: in the order of every target.
        cameras: what is watched, by the names of the checkpoint.
        state_sources: one per number of the checkpoint's state.
        measurement_max_age_s: joint states and poses older than this make the arm hold.
        kinematics: of the arm, None where nothing needs it.
        arm_joints: the axes that kinematics moves, in its order.
        tool: how actions move the tool; None when every axis reads the action itself.
        workspace: where the tool may be, checked at every tick; needs kinematics.
        reference_turn_rad: orientation of the tool from which the end-effector pose's angles count.
    """

    axes: tuple[AxisSettings, ...]
    cameras: tuple[CameraInput, ...]
    state_sources: tuple[StateSource, ...]
    measurement_max_age_s: float
    kinematics: Kinematics | None = None
    arm_joints: tuple[str, ...] = ()
    tool: ToolAction | None = None
    workspace: WorkspaceBox | None = None
    reference_turn_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Raises UnknownName, InvalidSetting: parts that do not fit together, or angles that must be degrees."""
        names = self.limits.names
        for joint in self.arm_joints:
            if joint not in names:
                raise UnknownName("axis", joint, names, where="the robot's axes")
        if (self.tool is not None or self.workspace is not None) and self.kinematics is None:
            raise InvalidSetting("Actions of the tool and a workspace need kinematics: name them.")
        for axis in self.axes:
            if axis.source.kind not in ("joint", "pose"):
                raise InvalidSetting(f"Axis '{axis.limits.name}' is measured by a joint or the pose topic.")
            if axis.action is None and (self.tool is None or axis.limits.name not in self.arm_joints):
                raise InvalidSetting(f"Axis '{axis.limits.name}' needs an action of the checkpoint.")
            _check_unit(axis.limits)

    @property
    def limits(self) -> RobotLimits:
        """Limits of all axes."""
        return RobotLimits(tuple(axis.limits for axis in self.axes))

    @property
    def needs_pose(self) -> bool:
        """Tell whether the end-effector pose topic is needed."""
        return any(source.kind == "pose" for source in (*self.state_sources, *(axis.source for axis in self.axes)))

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Every joint whose state is read."""
        sources = (*(axis.source for axis in self.axes), *self.state_sources)
        return tuple(dict.fromkeys(source.name for source in sources if source.kind == "joint"))

    @property
    def inputs(self) -> tuple[VectorInput | CameraInput, ...]:
        """What the watchdog watches."""
        vectors = [VectorInput(MEASUREMENT, len(self.axes), self.measurement_max_age_s)]
        if self.needs_pose:
            vectors.append(VectorInput(POSE, 6, self.measurement_max_age_s))
        return (*vectors, *self.cameras)


def _check_unit(limits: AxisLimits) -> None:
    bounds = [bound for bound in (limits.lower, limits.upper) if math.isfinite(bound)]
    if limits.unit == "rad" and any(abs(bound) > LARGEST_ANGLE_RAD for bound in bounds):
        raise InvalidSetting(
            f"Axis '{limits.name}' goes from {limits.lower:g} to {limits.upper:g} rad: that must be degrees. "
            "Angles are in rad everywhere (REP-103)."
        )


@dataclass(frozen=True)
class FittedRobot:
    """A robot that fits a policy.

    Attributes:
        settings: of the robot.
        interface: of the policy.
        controller: inactive.
        state_reader: gives the policy's state.
    """

    settings: RobotSettings
    interface: PolicyInterface
    controller: Controller
    state_reader: StateReader

    def measured(self, joints: JointReading, pose: np.ndarray | None) -> Float64[np.ndarray, " axis"]:
        """Return the position of every axis. Raises UnknownName, ShapeMismatch: a joint or the pose is missing."""
        return read_positions(tuple(axis.source for axis in self.settings.axes), joints, pose)


def fit_robot(settings: RobotSettings, interface: PolicyInterface, control: ControlSettings) -> FittedRobot:
    """Return the robot with a controller for this policy.

    Raises:
        UnknownName, InvalidSetting: cameras, state or actions do not fit; says which.
    """
    known = [camera.name for camera in settings.cameras]
    for camera in interface.cameras:
        if camera not in known:
            raise UnknownName("camera", camera, known, where="the robot's configuration, and the checkpoint needs it")
    if len(settings.state_sources) != len(interface.state_names):
        raise InvalidSetting(
            f"The checkpoint's state has {len(interface.state_names)} numbers ({', '.join(interface.state_names)}); "
            f"state_sources names {len(settings.state_sources)}."
        )
    mapping, tool_mapping = _mapping(settings, interface.action_names)
    tool_pose = tool_mapping.pose if tool_mapping is not None else _tool_pose(settings)
    reader = StateReader(settings.state_sources, tool_pose=tool_pose)
    workspace = None
    if settings.workspace is not None and tool_pose is not None:
        workspace = Workspace(settings.workspace, lambda position: tool_pose(position)[0])
    controller = Controller(mapping=mapping, settings=control, inputs=settings.inputs, workspace=workspace)
    return FittedRobot(settings, interface, controller, reader)


def _mapping(settings: RobotSettings, action_names: tuple[str, ...]) -> tuple[GoalMapping, ToolActionMapping | None]:
    axis_actions = tuple(axis.action for axis in settings.axes if axis.action is not None)
    if settings.tool is None or settings.kinematics is None:
        return ActionMapping(action_names, axis_actions, settings.limits), None
    mapping = ToolActionMapping(
        action_names=action_names,
        tool=settings.tool,
        arm_joints=settings.arm_joints,
        axis_actions=axis_actions,
        limits=settings.limits,
        kinematics=settings.kinematics,
    )
    return mapping, mapping


def _tool_pose(settings: RobotSettings):
    kinematics = settings.kinematics
    if kinematics is None:
        return None
    arm = [settings.limits.index(name) for name in settings.arm_joints]
    reference = rotation_from_turn(np.array(settings.reference_turn_rad))

    def pose(position: Float64[np.ndarray, " axis"]) -> tuple[np.ndarray, np.ndarray]:
        place, rotation = kinematics.forward(position[arm])
        return place, turn_from_rotation(rotation @ reference.T)

    return pose


def limits_with_description(
    name: str, description: Mapping[str, tuple[float, float, float | None]], given: Mapping[str, float]
) -> dict[str, float]:
    """Return lower, upper and velocity of an axis: what was given, inside of what the robot's description allows.

    Args:
        name: of the axis' joint.
        description: joint -> lower, upper, velocity (None where it gives none).
        given: whichever of "lower", "upper", "velocity" the configuration names.

    Raises:
        InvalidSetting: neither names one of the three, or the given one is wider than the description's.
    """
    lower, upper, velocity = description.get(name, (-math.inf, math.inf, None))
    described = {"lower": lower, "upper": upper, "velocity": math.inf if velocity is None else velocity}
    limits = {**described, **given}
    for field, sign in (("lower", -1.0), ("upper", 1.0), ("velocity", 1.0)):
        if sign * limits[field] > sign * described[field] + 1e-9:
            raise InvalidSetting(
                f"Axis '{name}': {field} {limits[field]:g} is wider than the robot description's {described[field]:g}."
            )
    missing = [field for field in ("lower", "upper", "velocity") if field not in given and name not in description]
    if missing or math.isinf(limits["velocity"]):
        raise InvalidSetting(
            f"Axis '{name}' needs {', '.join(missing) or 'velocity'}: neither the configuration nor the robot "
            "description gives it."
        )
    return limits
