"""What a robot's description (URDF) says: limits of its joints, and kinematics of the chain to its tool."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control.kinematics import Rotation, Vector, rotation_from_turn, rotation_vector
from vlm_qsft.errors import InvalidSetting, UnknownName

MOVABLE = ("revolute", "continuous", "prismatic")
_POSITION_TOLERANCE_M = 1e-4
_ROTATION_TOLERANCE_RAD = 1e-3
_MAX_ITERATIONS = 50
_DAMPING = 1e-4
_MAX_STEP = 0.3


@dataclass(frozen=True)
class UrdfJoint:
    """One joint of a description.

    Attributes:
        name: of the joint.
        kind: "revolute", "continuous", "prismatic" or "fixed".
        parent: link it is fixed to.
        child: link it carries.
        place_m: origin in the parent's frame.
        rotation: orientation of the joint's frame in the parent's.
        axis: unit vector in the joint's frame.
        lower: smallest position, rad or m; -inf where there is no limit.
        upper: largest position.
        velocity: largest speed, rad/s or m/s; None where the description gives none.
    """

    name: str
    kind: str
    parent: str
    child: str
    place_m: Vector
    rotation: Rotation
    axis: Vector
    lower: float
    upper: float
    velocity: float | None


def parse_urdf(text: str) -> dict[str, UrdfJoint]:
    """Return the joints of a description by name.

    Raises:
        InvalidSetting: not a robot description, or a joint that cannot be read.
    """
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise InvalidSetting(f"The robot description is no XML: {error}.") from error
    if root.tag != "robot":
        raise InvalidSetting(f"The robot description begins with <{root.tag}>, expected <robot>.")
    joints = {}
    for element in root.findall("joint"):
        try:
            joint = _joint(element)
        except (KeyError, ValueError) as error:
            name = element.get("name", "without a name")
            raise InvalidSetting(f"Joint '{name}' of the robot description cannot be read: {error}.") from error
        joints[joint.name] = joint
    return joints


def _joint(element: ET.Element) -> UrdfJoint:
    kind, name = element.attrib["type"], element.attrib["name"]
    links = {tag: element.find(tag) for tag in ("parent", "child")}
    parent, child = (_attribute(links[tag], "link") for tag in ("parent", "child"))
    limit, origin = element.find("limit"), element.find("origin")
    bounded = kind in ("revolute", "prismatic")
    if bounded and limit is None:
        raise ValueError("a revolute or prismatic joint needs <limit>")
    velocity = None if limit is None else limit.get("velocity")
    axis = _numbers(element.find("axis"), "xyz", (1.0, 0.0, 0.0))
    return UrdfJoint(
        name=name,
        kind=kind,
        parent=parent,
        child=child,
        place_m=_numbers(origin, "xyz", (0.0, 0.0, 0.0)),
        rotation=rotation_from_turn(_numbers(origin, "rpy", (0.0, 0.0, 0.0))),
        axis=axis / np.linalg.norm(axis),
        lower=float(limit.get("lower", 0.0)) if bounded and limit is not None else -math.inf,
        upper=float(limit.get("upper", 0.0)) if bounded and limit is not None else math.inf,
        velocity=None if velocity is None else float(velocity),
    )


def _attribute(element: ET.Element | None, name: str) -> str:
    if element is None:
        raise ValueError("parent or child is missing")
    return element.attrib[name]


def _numbers(element: ET.Element | None, name: str, default: tuple[float, float, float]) -> Vector:
    """Return three numbers; URDF itself defines what an absent element or attribute means."""
    text = None if element is None else element.get(name)
    values = np.array(default if text is None else [float(word) for word in text.split()])
    if values.shape != (3,):
        raise ValueError(f"'{text}' are not three numbers")
    return values


class UrdfKinematics:
    """Kinematics of the chain from one link to another, by damped least squares."""

    def __init__(self, joints: dict[str, UrdfJoint], *, base_link: str, tool_link: str) -> None:
        """Follow the chain from the tool down to the base.

        Raises:
            UnknownName: the tool's link does not exist.
            InvalidSetting: the base does not carry the tool, or a joint of the chain is of another kind.
        """
        carried_by = {joint.child: joint for joint in joints.values()}
        if tool_link not in carried_by and tool_link != base_link:
            raise UnknownName("link", tool_link, carried_by, where="the robot description")
        chain: list[UrdfJoint] = []
        link = tool_link
        while link != base_link:
            joint = carried_by.get(link)
            if joint is None:
                raise InvalidSetting(f"Link '{base_link}' does not carry '{tool_link}': the chain ends at '{link}'.")
            if joint.kind not in (*MOVABLE, "fixed"):
                raise InvalidSetting(f"Joint '{joint.name}' is {joint.kind}; expected {', '.join(MOVABLE)} or fixed.")
            chain.append(joint)
            link = joint.parent
        self._chain = tuple(reversed(chain))
        moving = [joint for joint in self._chain if joint.kind != "fixed"]
        self.joint_names = tuple(joint.name for joint in moving)
        self._lower = np.array([joint.lower for joint in moving])
        self._upper = np.array([joint.upper for joint in moving])

    def forward(self, joints_rad: Float64[np.ndarray, " joint"]) -> tuple[Vector, Rotation]:
        """Return position and orientation of the tool link in the base link's frame."""
        place, rotation, _ = self._follow(joints_rad)
        return place, rotation

    def inverse(
        self, position_m: Vector, rotation: Rotation, start_rad: Float64[np.ndarray, " joint"]
    ) -> Float64[np.ndarray, " joint"]:
        """Return joint positions near `start_rad` that bring the tool to a pose, or as near to it as they got.

        dq = J^T (J J^T + lambda I)^-1 e
        """
        joints = np.array(start_rad, dtype=np.float64)
        for _ in range(_MAX_ITERATIONS):
            place, current, jacobian = self._follow(joints)
            error = np.concatenate([position_m - place, rotation_vector(rotation @ current.T)])
            if (
                np.linalg.norm(error[:3]) < _POSITION_TOLERANCE_M
                and np.linalg.norm(error[3:]) < _ROTATION_TOLERANCE_RAD
            ):
                break
            step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + _DAMPING * np.eye(6), error)
            joints = np.clip(joints + np.clip(step, -_MAX_STEP, _MAX_STEP), self._lower, self._upper)
        return joints

    def _follow(self, joints: np.ndarray) -> tuple[Vector, Rotation, Float64[np.ndarray, "6 joint"]]:
        place, rotation = np.zeros(3), np.eye(3)
        index = 0
        axes, places, sliding = [], [], []
        for joint in self._chain:
            place = place + rotation @ joint.place_m
            rotation = rotation @ joint.rotation
            if joint.kind == "fixed":
                continue
            axis = rotation @ joint.axis
            axes.append(axis)
            places.append(place)
            sliding.append(joint.kind == "prismatic")
            if joint.kind == "prismatic":
                place = place + axis * joints[index]
            else:
                rotation = rotation @ _rotation_about(joint.axis, joints[index])
            index += 1
        columns = [
            np.concatenate([axis, np.zeros(3)]) if slides else np.concatenate([np.cross(axis, place - at), axis])
            for axis, at, slides in zip(axes, places, sliding, strict=True)
        ]
        return place, rotation, np.stack(columns, axis=1)


def _rotation_about(axis: Vector, angle_rad: float) -> Rotation:
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross
