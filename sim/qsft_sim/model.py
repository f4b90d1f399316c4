"""The MuJoCo model: a table, an arm with the kinematics of the Franka Panda drawn from capsules, six free objects.

The arm has no meshes: capsules render ten times faster, and link lengths are facts anyone may write down. Every
object is compiled once; an episode shows some of them and parks the others (see `world.py`).
"""

# MuJoCo ships no type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np

from qsft_sim.engine import mujoco

TIMESTEP_S = 0.004
N_JOINTS = 7
FINGER_TRAVEL_M = 0.04
CAMERAS = ("front", "wrist", "over")
TOOL_SITE = "tool"

# Elbow up, gripper straight down over the middle of the table.
HOME_JOINTS_RAD = np.array([0.0, 0.0, 0.0, -1.9, 0.0, 1.9, 0.7853])
HOME_JOINTS_RAD.flags.writeable = False

# Slices of a cylinder: 12 are not seen at 128 x 128 and cost half of the 28 that MuJoCo draws by default.
_SLICES = 12


@dataclass(frozen=True)
class Shape:
    """A graspable shape: MuJoCo geometry, size in m, height of its centre when it stands on the table in m."""

    geom_type: str
    size_m: tuple[float, ...]
    rest_height_m: float
    friction: tuple[float, float, float] = (1.2, 0.01, 0.0005)


SHAPES = {
    "cube": Shape("box", (0.02, 0.02, 0.02), 0.02),
    "cylinder": Shape("cylinder", (0.02, 0.025), 0.025),
    # Rolling friction: without it a touched ball leaves the table.
    "ball": Shape("sphere", (0.022,), 0.022, (1.2, 0.02, 0.004)),
}

# Shape of every object body, by its number.
BODY_SHAPES = ("cube", "cube", "cylinder", "cylinder", "ball", "ball")


@dataclass(frozen=True)
class _Capsule:
    """A visible capsule of a link: radius in m, both ends in m, mass in kg."""

    radius_m: float
    start_m: tuple[float, float, float]
    end_m: tuple[float, float, float]
    mass_kg: float


@dataclass(frozen=True)
class _Link:
    """One moving link: pose in its parent, joint range in rad, servo gain in N m / rad, torque limit in N m."""

    position_m: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    range_rad: tuple[float, float]
    gain: float
    torque_limit: float
    capsules: tuple[_Capsule, ...]


_LINKS = (
    _Link((0, 0, 0.333), (1, 0, 0, 0), (-2.8973, 2.8973), 4500, 87, (_Capsule(0.062, (0, 0, -0.08), (0, 0, 0), 3),)),
    _Link(
        (0, 0, 0), (1, -1, 0, 0), (-1.7628, 1.7628), 4500, 87,
        (_Capsule(0.062, (0, 0, -0.06), (0, 0, 0.06), 3), _Capsule(0.055, (0, 0, 0), (0, -0.19, 0), 0.1)),
    ),
    _Link(
        (0, -0.316, 0), (1, 1, 0, 0), (-2.8973, 2.8973), 3500, 87,
        (_Capsule(0.055, (0, 0, -0.12), (0, 0, -0.02), 2), _Capsule(0.05, (0, 0, 0), (0.0825, 0, 0), 0.5)),
    ),
    _Link(
        (0.0825, 0, 0), (1, 1, 0, 0), (-3.0718, -0.0698), 3500, 87,
        (_Capsule(0.055, (0, 0, -0.05), (0, 0, 0.05), 2), _Capsule(0.048, (0, 0, 0), (-0.0825, 0.12, 0), 0.5)),
    ),
    _Link(
        (-0.0825, 0.384, 0), (1, -1, 0, 0), (-2.8973, 2.8973), 2000, 12,
        (_Capsule(0.05, (0, 0, -0.25), (0, 0.04, -0.05), 2), _Capsule(0.045, (0, 0.04, -0.1), (0, 0, 0), 0.3)),
    ),
    _Link(
        (0, 0, 0), (1, 1, 0, 0), (-0.0175, 3.7525), 2000, 12,
        (_Capsule(0.045, (0, 0, -0.03), (0, 0, 0.03), 1), _Capsule(0.042, (0, 0, 0), (0.088, 0, 0), 0.3)),
    ),
    _Link(
        (0.088, 0, 0), (1, 1, 0, 0), (-2.8973, 2.8973), 2000, 12,
        (_Capsule(0.042, (0, 0, 0.03), (0, 0, 0.09), 0.5),),
    ),
)  # fmt: skip

_LIGHT_GREY = (0.92, 0.92, 0.94, 1)
_DARK_GREY = (0.25, 0.26, 0.28, 1)
_BLACK = (0.1, 0.1, 0.1, 1)


def build_model(*, objects: bool = True) -> mujoco.MjModel:
    """Compile the table and the arm, with the six objects or without (the arm alone serves inverse kinematics)."""
    root = ET.Element("mujoco", model="qsft_tabletop")
    _add(root, "compiler", angle="radian", autolimits="true")
    _add(root, "option", timestep=TIMESTEP_S, integrator="implicitfast", cone="elliptic", impratio=10)
    _add_visual(root)
    world = _add(root, "worldbody")
    _add_scenery(world)
    _add_arm(world)
    if objects:
        for number, shape_name in enumerate(BODY_SHAPES):
            _add_object(world, number, SHAPES[shape_name])
    contact = _add(root, "contact")
    for first, second in (("hand", "left_finger"), ("hand", "right_finger"), ("left_finger", "right_finger")):
        _add(contact, "exclude", body1=first, body2=second)
    _add(_add(root, "equality"), "joint", joint1="left_finger", joint2="right_finger", solref=(0.005, 1))
    _add_actuators(root)
    model = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    # From MuJoCo 3.15 on cylinders in multi-contact drop out of grasps; the flag exists where the feature does.
    multi_contact = getattr(mujoco.mjtDisableBit, "mjDSBL_MULTICCD", None)
    if multi_contact is not None:
        model.opt.disableflags |= int(multi_contact)
    return model


def _add(parent: ET.Element, tag: str, **attributes: str | float | tuple[float, ...]) -> ET.Element:
    """Append an element; numbers and tuples become MuJoCo's space-separated text, `class_` becomes `class`."""
    text = {
        name.rstrip("_"): " ".join(f"{number:.9g}" for number in value)
        if isinstance(value, tuple)
        else (value if isinstance(value, str) else f"{value:.9g}")
        for name, value in attributes.items()
    }
    return ET.SubElement(parent, tag, text)


def _add_visual(root: ET.Element) -> None:
    visual = _add(root, "visual")
    grey = (0.45, 0.45, 0.45)
    _add(visual, "headlight", diffuse=grey, ambient=grey, specular=(0.05, 0.05, 0.05))
    # No multisampling: with software rendering it costs more than the scene.
    _add(visual, "quality", offsamples=0, numslices=_SLICES, numstacks=_SLICES // 2, numquads=1)
    # Near plane in units of the extent: 8 cm, so that the wrist camera looks past the hand it is screwed to.
    _add(root, "statistic", extent=1)
    _add(visual, "map", znear=0.08, zfar=20)


def _add_scenery(world: ET.Element) -> None:
    _add(
        world,
        "light",
        name="key",
        pos=(0.2, -0.6, 1.6),
        dir=(0.1, 0.3, -1),
        type="directional",
        diffuse=(0.5, 0.5, 0.5),
    )
    _add(
        world, "geom", name="floor", type="plane", size=(3, 3, 0.1), pos=(0, 0, -0.4), rgba=(0.55, 0.58, 0.62, 1),
        contype=0, conaffinity=0,
    )  # fmt: skip
    _add(
        world, "geom", name="table", type="box", size=(0.42, 0.55, 0.02), pos=(0.45, 0, -0.02),
        rgba=(0.55, 0.44, 0.34, 1), friction=(1, 0.005, 0.0001),
    )  # fmt: skip
    # Opposite the arm, framed so that the region where objects start fills the picture.
    _add(world, "camera", name="front", pos=(1.05, 0, 0.75), xyaxes=(0, 1, 0, -0.72, 0, 0.58), fovy=38)
    _add(world, "camera", name="over", pos=(0.45, 0.75, 0.75), xyaxes=(-1, 0, 0, 0, -0.75, 0.66), fovy=46)


def _add_arm(world: ET.Element) -> None:
    look = {"contype": 0, "conaffinity": 0, "group": 2}
    _add(world, "geom", type="cylinder", size=(0.09, 0.02), pos=(0, 0, -0.015), rgba=_DARK_GREY, **look)
    parent = _add(world, "body", name="pedestal")
    _add(parent, "geom", type="cylinder", size=(0.075, 0.14), pos=(0, 0, 0.14), rgba=_LIGHT_GREY, **look)
    for number, link in enumerate(_LINKS, start=1):
        parent = _add(parent, "body", name=f"link_{number}", pos=link.position_m, quat=link.quaternion, gravcomp=1)
        _add(parent, "joint", name=f"joint_{number}", axis=(0, 0, 1), range=link.range_rad, armature=0.1, damping=2)
        for capsule in link.capsules:
            _add(
                parent, "geom", type="capsule", size=(capsule.radius_m,), fromto=(*capsule.start_m, *capsule.end_m),
                mass=capsule.mass_kg, rgba=_LIGHT_GREY, **look,
            )  # fmt: skip
    _add_hand(parent)


def _add_hand(parent: ET.Element) -> None:
    look = {"contype": 0, "conaffinity": 0, "group": 2}
    # The hand is turned by -45 degrees about the last joint, as on the real arm.
    hand = _add(parent, "body", name="hand", pos=(0, 0, 0.107), quat=(0.92387953, 0, 0, -0.38268343), gravcomp=1)
    _add(hand, "geom", type="box", size=(0.025, 0.1, 0.03), pos=(0, 0, 0.03), mass=0.5, rgba=_DARK_GREY, **look)
    _add(hand, "geom", name="palm", type="box", size=(0.02, 0.09, 0.012), pos=(0, 0, 0.046), mass=0.01, group=3)
    _add(hand, "site", name=TOOL_SITE, pos=(0, 0, 0.1034), size=(0.004,), group=4)
    _add(hand, "camera", name="wrist", pos=(0.075, 0, 0.01), xyaxes=(0, 1, 0, 1, 0, 0.35), fovy=75)
    for side, quaternion in (("left", (1, 0, 0, 0)), ("right", (0, 0, 0, 1))):
        finger = _add(hand, "body", name=f"{side}_finger", pos=(0, 0, 0.0584), quat=quaternion, gravcomp=1)
        _add(
            finger, "joint", name=f"{side}_finger", type="slide", axis=(0, 1, 0), range=(0, FINGER_TRAVEL_M),
            armature=0.1, damping=10,
        )  # fmt: skip
        _add(
            finger, "geom", type="box", size=(0.011, 0.008, 0.026), pos=(0, 0.012, 0.026), mass=0.02, rgba=_DARK_GREY,
            **look,
        )  # fmt: skip
        _add(
            finger, "geom", name=f"{side}_pad", type="box", size=(0.011, 0.006, 0.016), pos=(0, 0.006, 0.04),
            mass=0.01, friction=(2, 0.05, 0.0002), condim=4, rgba=_BLACK,
        )  # fmt: skip


def _add_object(world: ET.Element, number: int, shape: Shape) -> None:
    body = _add(world, "body", name=f"object_{number}", pos=(2 + 0.2 * number, 2, 0.05))
    _add(body, "freejoint", name=f"object_{number}")
    _add(
        body, "geom", name=f"object_{number}", type=shape.geom_type, size=shape.size_m, mass=0.06,
        friction=shape.friction, condim=4, solref=(0.01, 1),
    )  # fmt: skip


def _add_actuators(root: ET.Element) -> None:
    actuator = _add(root, "actuator")
    for number, link in enumerate(_LINKS, start=1):
        _add(
            actuator, "position", name=f"joint_{number}", joint=f"joint_{number}", kp=link.gain, kv=link.gain / 10,
            forcerange=(-link.torque_limit, link.torque_limit),
        )  # fmt: skip
    _add(
        actuator, "position", name="gripper", joint="left_finger", kp=800, kv=40, ctrlrange=(0, FINGER_TRAVEL_M),
        forcerange=(-25, 25),
    )  # fmt: skip
