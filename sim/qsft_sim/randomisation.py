"""What varies between scenes, and the named variants that evaluation holds out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64

from qsft_sim.model import CAMERAS, N_JOINTS
from vlm_qsft.errors import InvalidSetting, UnknownName

# Mounted on the world; the wrist camera is screwed to the hand and does not move.
_FREE_CAMERAS = ("front", "over")


@dataclass(frozen=True)
class SceneVariant:
    """How scenes are drawn: ranges of the randomisation and what is held out.

    Attributes:
        name: under which results are stored.
        target_pairs: colour-shape pairs that the target may have: "seen" or "held_out". Other objects are always of
            pairs that were seen.
        extra_distractors: objects on top of those that the environment's settings ask for.
        camera_jitter_m: standard deviation of each world camera's place in x and y.
        camera_shift_m: fixed length of a shift of the world cameras in x and y, in a random direction.
        light: range of the factor on the key light.
        headlight: range of the factor on the fill light.
        table_brightness: range of the factor on the table's colour.
        table_tint: standard deviation of each colour channel of that factor.
        colour_jitter: standard deviation of each channel of an object's colour (0 to 1).
        friction: range of the factor on every sliding friction.
        home_jitter_rad: standard deviation of each joint's first angle.
    """

    name: str
    target_pairs: str = "seen"
    extra_distractors: int = 0
    camera_jitter_m: float = 0.012
    camera_shift_m: float = 0.0
    light: tuple[float, float] = (0.7, 1.2)
    headlight: tuple[float, float] = (0.8, 1.15)
    table_brightness: tuple[float, float] = (0.75, 1.15)
    table_tint: float = 0.05
    colour_jitter: float = 0.03
    friction: tuple[float, float] = (0.8, 1.2)
    home_jitter_rad: float = 0.02

    def __post_init__(self) -> None:
        if self.target_pairs not in ("seen", "held_out"):
            raise UnknownName("kind of pairs", self.target_pairs, ("seen", "held_out"), where="scene variants")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and not 0 <= value[0] <= value[1]:
                raise InvalidSetting(f"{field.name} is the range {value}: expected 0 <= low <= high.")
            if isinstance(value, int | float) and value < 0:
                raise InvalidSetting(f"{field.name} is {value}: expected a number that is not negative.")


VARIANTS = MappingProxyType(
    {
        variant.name: variant
        for variant in (
            SceneVariant("standard"),
            SceneVariant("held_out_pairs", target_pairs="held_out"),
            SceneVariant("more_distractors", extra_distractors=2),
            SceneVariant("camera_shift", camera_shift_m=0.05),
            SceneVariant("dim_light", light=(0.3, 0.5), headlight=(0.5, 0.65)),
        )
    }
)


def variant_named(name: str) -> SceneVariant:
    """Return a variant.

    Raises:
        UnknownName: lists the variants.
    """
    if name not in VARIANTS:
        raise UnknownName("scene variant", name, VARIANTS)
    return VARIANTS[name]


@dataclass(frozen=True, eq=False)
class Conditions:
    """Everything random about a scene but its objects; one draw from a variant.

    Attributes:
        camera_offset_m: of every camera of `model.CAMERAS`, x, y, z.
        light: factor on the key light.
        headlight: factor on the fill light.
        table_colour: factor on each channel of the table's colour.
        friction: factor on every sliding friction.
        home_offset_rad: added to the arm's home angles.
    """

    camera_offset_m: Float64[np.ndarray, "camera 3"]
    light: float
    headlight: float
    table_colour: Float64[np.ndarray, " 3"]
    friction: float
    home_offset_rad: Float64[np.ndarray, " 7"]


def draw_conditions(generator: np.random.Generator, variant: SceneVariant) -> Conditions:
    """Draw the conditions of one episode."""
    offset = np.zeros((len(CAMERAS), 3))
    for number, camera in enumerate(CAMERAS):
        jitter = generator.normal(0, 1, 2) * variant.camera_jitter_m
        direction = generator.uniform(0, 2 * np.pi)
        shift = variant.camera_shift_m * np.array([np.cos(direction), np.sin(direction)])
        if camera in _FREE_CAMERAS:
            offset[number, :2] = jitter + shift
    brightness = generator.uniform(*variant.table_brightness)
    return Conditions(
        camera_offset_m=offset,
        light=generator.uniform(*variant.light),
        headlight=generator.uniform(*variant.headlight),
        table_colour=np.clip(brightness + generator.normal(0, 1, 3) * variant.table_tint, 0, None),
        friction=generator.uniform(*variant.friction),
        home_offset_rad=generator.normal(0, 1, N_JOINTS) * variant.home_jitter_rad,
    )
