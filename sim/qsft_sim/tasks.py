"""The tasks: what the instruction says, and when it has been followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64

from vlm_qsft.errors import UnknownName

LIFT_HEIGHT_M = 0.06
GRASP_DISTANCE_M = 0.05
NEAR_DISTANCE_M = 0.10
# An object of which the gripper has let go: resting on the table, slower than this, further from the tool than this.
_REST_HEIGHT_M = 0.012
_REST_SPEED_M_S = 0.05
_RELEASE_DISTANCE_M = 0.03
# An object counts as handled when it was lifted or carried; the brush of a finger moves it less.
_HANDLED_LIFT_M = 0.03
_HANDLED_MOVE_M = 0.06


@dataclass(frozen=True, eq=False)
class TableState:
    """Where things are: the true state that tasks judge by, never seen by a policy that learns.

    Attributes:
        object_position_m: centres of the objects, in the order of the scene.
        object_start_m: the same at the start of the episode.
        object_speed_m_s: largest component of each object's velocity.
        tool_position_m: the point between the finger tips.
        gripper_open: the last command to the gripper.
    """

    object_position_m: Float64[np.ndarray, "object 3"]
    object_start_m: Float64[np.ndarray, "object 3"]
    object_speed_m_s: Float64[np.ndarray, " object"]
    tool_position_m: Float64[np.ndarray, " 3"]
    gripper_open: bool


@dataclass(frozen=True)
class Task:
    """One kind of instruction.

    Attributes:
        name: as users write it.
        template: the instruction; `{target}` and `{reference}` stand for "red cube" and the like.
        n_named: objects the instruction names: 1, or 2 when there is a reference.
        first_distance_m: smallest distance of target and reference at the start.
        followed: whether a state fulfils the instruction, given the numbers of the target and the reference object.
    """

    name: str
    template: str
    n_named: int
    first_distance_m: float
    followed: Callable[[TableState, int, int], bool]


def is_picked_up(state: TableState, target: int, reference: int) -> bool:
    """Whether the target hangs in the gripper, at least 6 cm above its first place. `reference` is not looked at."""
    position = state.object_position_m[target]
    raised_m = position[2] - state.object_start_m[target, 2]
    return bool(raised_m > LIFT_HEIGHT_M and np.linalg.norm(position - state.tool_position_m) < GRASP_DISTANCE_M)


def is_near(state: TableState, target: int, reference: int) -> bool:
    """Whether the target rests within 10 cm (centre to centre) of the reference, and the gripper has let it go.

    Carrying the reference to the target does not count: the instruction says what to move.
    """
    position = state.object_position_m[target]
    return bool(
        reference not in wrongly_handled(state, target)
        and np.linalg.norm(position[:2] - state.object_position_m[reference, :2]) < NEAR_DISTANCE_M
        and position[2] - state.object_start_m[target, 2] < _REST_HEIGHT_M
        and state.object_speed_m_s[target] < _REST_SPEED_M_S
        and state.gripper_open
        and np.linalg.norm(position - state.tool_position_m) > _RELEASE_DISTANCE_M
    )


def handled_objects(state: TableState) -> tuple[int, ...]:
    """Return the numbers of the objects that were lifted 3 cm or moved 6 cm."""
    moved = state.object_position_m - state.object_start_m
    handled = (moved[:, 2] > _HANDLED_LIFT_M) | (np.hypot(moved[:, 0], moved[:, 1]) > _HANDLED_MOVE_M)
    return tuple(int(number) for number in np.flatnonzero(handled))


def wrongly_handled(state: TableState, target: int) -> tuple[int, ...]:
    """Return the numbers of the handled objects that are not the target."""
    return tuple(number for number in handled_objects(state) if number != target)


TASKS = MappingProxyType(
    {
        task.name: task
        for task in (
            Task("pick", "pick up the {target}", 1, 0.0, is_picked_up),
            Task("near", "move the {target} near the {reference}", 2, 0.16, is_near),
        )
    }
)


def task_named(name: str) -> Task:
    """Return a task.

    Raises:
        UnknownName: lists the tasks.
    """
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    return TASKS[name]
