"""Where every number of a checkpoint's state comes from on a robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Float64

from vlm_qsft.control.kinematics import Vector
from vlm_qsft.errors import InvalidSetting, ShapeMismatch, UnknownName

JointQuantity = Literal["position", "velocity", "effort"]
PoseQuantity = Literal["x", "y", "z", "roll", "pitch", "yaw"]
SourceKind = Literal["joint", "tool", "commanded_tool", "pose"]

ToolPose = Callable[[Float64[np.ndarray, " axis"]], tuple[Vector, Vector]]
"""Axis positions -> place of the tool, m, and its roll, pitch, yaw."""


@dataclass(frozen=True)
class StateSource:
    """The source of one number.

    Written as text: `joint.NAME.position`, `joint.NAME.velocity`, `joint.NAME.effort`; `tool.x` (forward kinematics of
    the measured joints), `commanded_tool.x` (of the goals in force), `pose.x` (the end-effector pose topic), with x, y,
    z in metres or roll, pitch, yaw in rad. A factor may follow: `joint.finger.position * 0.5`.

    Attributes:
        kind: which of the four.
        name: the joint's name; "" for the others.
        quantity: what of it.
        scale: unit of the checkpoint per unit of the source.
    """

    kind: SourceKind
    name: str
    quantity: str
    scale: float

    @classmethod
    def parse(cls, text: str) -> StateSource:
        """Read a source.

        Raises:
            InvalidSetting: not of one of the forms above.
            UnknownName: no such kind or quantity.
        """
        body, star, factor = text.partition("*")
        kind, *rest = body.strip().split(".")
        if kind not in get_args(SourceKind):
            raise UnknownName("state source", kind, get_args(SourceKind), where=f"'{text}'")
        quantities = get_args(JointQuantity) if kind == "joint" else get_args(PoseQuantity)
        if len(rest) < (2 if kind == "joint" else 1):
            raise InvalidSetting(f"State source '{text}' must read joint.NAME.position, tool.x or the like.")
        *name, quantity = rest
        if quantity not in quantities:
            raise UnknownName("quantity", quantity, quantities, where=f"'{text}'")
        if kind != "joint" and name:
            raise InvalidSetting(f"State source '{text}' must read {kind}.{quantity}.")
        try:
            scale = float(factor) if star else 1.0
        except ValueError as error:
            raise InvalidSetting(f"State source '{text}': '{factor.strip()}' is no number.") from error
        return cls(kind, ".".join(name), quantity, scale)  # pyright: ignore[reportArgumentType] (checked above)


@dataclass(frozen=True)
class JointReading:
    """One message of joint states, by name, in rad, m, and N m or N."""

    position: Mapping[str, float]
    velocity: Mapping[str, float]
    effort: Mapping[str, float]


class StateReader:
    """Builds the state of a checkpoint from what a robot sends."""

    def __init__(self, sources: tuple[StateSource, ...], *, tool_pose: ToolPose | None) -> None:
        """Read these sources, in the order of the checkpoint's state.

        Raises:
            InvalidSetting: a source needs kinematics and there are none.
        """
        self.sources = sources
        if tool_pose is None and any(source.kind in ("tool", "commanded_tool") for source in sources):
            raise InvalidSetting("State sources 'tool' and 'commanded_tool' need kinematics: name them, or use 'pose'.")
        self._tool_pose = tool_pose

    @property
    def needs_pose(self) -> bool:
        """Tell whether the end-effector pose topic is needed."""
        return any(source.kind == "pose" for source in self.sources)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The joints that are read, each once."""
        return tuple(dict.fromkeys(source.name for source in self.sources if source.kind == "joint"))

    def read(
        self,
        joints: JointReading,
        *,
        measured: Float64[np.ndarray, " axis"],
        goal: Float64[np.ndarray, " axis"],
        pose: Float64[np.ndarray, " 6"] | None,
    ) -> Float32[np.ndarray, " state_dim"]:
        """Return the state.

        Args:
            joints: all joints of the message.
            measured: positions of the axes in it.
            goal: goals of the axes in force.
            pose: x, y, z, roll, pitch, yaw from the end-effector pose topic.

        Raises:
            UnknownName: the message lacks a joint.
            ShapeMismatch: no pose although one is needed.
        """
        poses = {"pose": pose}
        if self._tool_pose is not None:
            kinds = {source.kind for source in self.sources}
            if "tool" in kinds:
                poses["tool"] = np.concatenate(self._tool_pose(measured))
            if "commanded_tool" in kinds:
                poses["commanded_tool"] = np.concatenate(self._tool_pose(goal))
        return _values(self.sources, joints, poses).astype(np.float32)


def read_positions(
    sources: tuple[StateSource, ...], joints: JointReading, pose: Float64[np.ndarray, " 6"] | None
) -> Float64[np.ndarray, " axis"]:
    """Return the numbers of sources of the kinds "joint" and "pose".

    Raises:
        UnknownName: the message lacks a joint.
        ShapeMismatch: no pose although one is needed.
    """
    return _values(sources, joints, {"pose": pose})


def _values(
    sources: tuple[StateSource, ...], joints: JointReading, poses: Mapping[str, np.ndarray | None]
) -> Float64[np.ndarray, " number"]:
    return np.array([_value(source, joints, poses) * source.scale for source in sources], dtype=np.float64)


def _value(source: StateSource, joints: JointReading, poses: Mapping[str, np.ndarray | None]) -> float:
    if source.kind == "joint":
        values: Mapping[str, float] = getattr(joints, source.quantity)
        if source.name not in values:
            raise UnknownName(f"joint {source.quantity}", source.name, values, where="the joint states")
        return values[source.name]
    pose = poses[source.kind]
    if pose is None:
        raise ShapeMismatch("The state needs the end-effector pose and none has arrived.")
    return float(pose[get_args(PoseQuantity).index(source.quantity)])
