"""A scene: which objects stand where, which of them the instruction means, and the conditions of the episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from qsft_sim.model import BODY_SHAPES
from qsft_sim.randomisation import Conditions, SceneVariant, draw_conditions
from qsft_sim.tasks import task_named
from vlm_qsft.errors import InvalidSetting

COLOURS = MappingProxyType(
    {
        "red": (0.85, 0.10, 0.10),
        "green": (0.10, 0.65, 0.15),
        "blue": (0.10, 0.25, 0.85),
        "yellow": (0.95, 0.85, 0.10),
        "purple": (0.55, 0.15, 0.65),
        "orange": (0.95, 0.50, 0.05),
    }
)

# Never on the table while recording; every colour and every shape of them is seen in other pairs.
HELD_OUT_PAIRS = (("red", "ball"), ("blue", "cylinder"), ("yellow", "cube"))

# Where objects may start: inside the arm's reach, clear of the edge of both cameras' pictures.
_REGION_X_M = (0.36, 0.64)
_REGION_Y_M = (-0.24, 0.24)
# Room for an open gripper (0.2 m wide, but turned along y) between any two objects.
_MIN_DISTANCE_M = 0.11
_MAX_TRIES = 1000


@dataclass(frozen=True)
class SceneObject:
    """One object on the table.

    Attributes:
        body: number of the body in the model; gives the shape.
        colour: its name, as instructions say it.
        rgb: its colour with jitter, 0 to 1.
        position_m: first place, x and y.
        yaw_rad: first turn about the vertical.
    """

    body: int
    colour: str
    rgb: tuple[float, float, float]
    position_m: tuple[float, float]
    yaw_rad: float

    @property
    def shape(self) -> str:
        """The name of the shape, as instructions say it."""
        return BODY_SHAPES[self.body]

    @property
    def description(self) -> str:
        """The words that mean this object: "red cube". Unique in its scene."""
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """The whole start of an episode: equal scenes and equal actions give equal episodes.

    Attributes:
        task: name of the task.
        objects: what stands on the table.
        target: number of the object the instruction is about.
        reference: number of the object named as a place; differs from `target`. Meaningless for tasks without one.
        conditions: camera, light, colours, friction, first posture.
    """

    task: str
    objects: tuple[SceneObject, ...]
    target: int
    reference: int
    conditions: Conditions

    @property
    def instruction(self) -> str:
        """The sentence the policy is given."""
        return task_named(self.task).template.format(
            target=self.objects[self.target].description, reference=self.objects[self.reference].description
        )

    def with_target(self, target: int) -> Scene:
        """Return the same table under another instruction; target and reference change places where they collide."""
        if not 0 <= target < len(self.objects):
            raise InvalidSetting(
                f"Object {target} is not in the scene: it has the objects 0 to {len(self.objects) - 1}."
            )
        reference = self.target if target == self.reference else self.reference
        return replace(self, target=target, reference=reference)


def draw_scene(
    generator: np.random.Generator, task: str, *, variant: SceneVariant, n_distractors: tuple[int, int]
) -> Scene:
    """Draw a scene.

    Args:
        generator: the only source of chance.
        task: name of the task.
        variant: ranges and held-out pairs.
        n_distractors: smallest and largest number of objects that the instruction does not name.

    Raises:
        InvalidSetting: more objects than there are bodies.
    """
    kind = task_named(task)
    low, high = n_distractors
    most = kind.n_named + high + variant.extra_distractors
    if not 0 <= low <= high or most > len(BODY_SHAPES):
        raise InvalidSetting(
            f"Number of distractors {low} to {high} with task '{task}' and variant '{variant.name}': expected "
            f"0 <= low <= high <= {len(BODY_SHAPES) - kind.n_named - variant.extra_distractors}."
        )
    conditions = draw_conditions(generator, variant)
    n_objects = kind.n_named + int(generator.integers(low, high + 1)) + variant.extra_distractors
    # A task without a reference still needs a valid number for it.
    objects = _draw_objects(generator, n_objects, variant, kind.first_distance_m)
    return Scene(task, objects, target=0, reference=min(1, n_objects - 1), conditions=conditions)


def _draw_objects(
    generator: np.random.Generator, n_objects: int, variant: SceneVariant, first_distance_m: float
) -> tuple[SceneObject, ...]:
    bodies = generator.permutation(len(BODY_SHAPES))[:n_objects]
    used: set[tuple[str, str]] = set()
    places = _draw_places(generator, n_objects, first_distance_m)
    objects = []
    for number, body in enumerate(bodies):
        shape = BODY_SHAPES[body]
        from_held_out = number == 0 and variant.target_pairs == "held_out"
        colours = [
            colour
            for colour in COLOURS
            if ((colour, shape) in HELD_OUT_PAIRS) == from_held_out and (colour, shape) not in used
        ]
        colour = colours[generator.integers(len(colours))]
        used.add((colour, shape))
        rgb = np.clip(np.array(COLOURS[colour]) + generator.normal(0, 1, 3) * variant.colour_jitter, 0, 1)
        objects.append(
            SceneObject(
                body=int(body),
                colour=colour,
                rgb=(float(rgb[0]), float(rgb[1]), float(rgb[2])),
                position_m=places[number],
                yaw_rad=float(generator.uniform(-np.pi / 4, np.pi / 4)),
            )
        )
    return tuple(objects)


def _draw_places(
    generator: np.random.Generator, n_objects: int, first_distance_m: float
) -> Sequence[tuple[float, float]]:
    """Draw places at least 11 cm apart, the first two at least `first_distance_m`; draws that fail are thrown away."""
    for _ in range(_MAX_TRIES):
        places = np.column_stack(
            [generator.uniform(*_REGION_X_M, n_objects), generator.uniform(*_REGION_Y_M, n_objects)]
        )
        distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
        if n_objects > 1 and distances[0, 1] < first_distance_m:
            continue
        if (distances[np.triu_indices(n_objects, 1)] > _MIN_DISTANCE_M).all():
            return [(float(x), float(y)) for x, y in places]
    raise InvalidSetting(f"No room for {n_objects} objects, {_MIN_DISTANCE_M} m apart, after {_MAX_TRIES} tries.")
