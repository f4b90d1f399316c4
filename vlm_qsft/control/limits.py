"""What an arm may do: position, velocity and acceleration of every axis, and the box its tool stays in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from vlm_qsft.errors import InvalidSetting, UnknownName


@dataclass(frozen=True)
class AxisLimits:
    """Limits of one commanded axis: a joint, a Cartesian coordinate of the tool, or a gripper.

    Attributes:
        name: as in the robot's description.
        unit: "rad", "m", or "1" for a normalised gripper; used in messages only.
        lower: smallest position; -inf for a continuous joint.
        upper: largest position; inf for a continuous joint.
        velocity: largest speed of the target, unit/s.
        acceleration: largest change of that speed, unit/s^2.
        goal_jump: a decision that asks for a goal farther than this from the goal before it is a fault, unit.
        measurement_jump: two successive measurements that differ by more than this beyond what `velocity` allows in the
            time between them are a fault, unit.
        measurement_tolerance: a measurement this far outside [lower, upper] counts as at the limit, unit. A closed
            gripper reads a hair below zero.
    """

    name: str
    unit: str
    lower: float
    upper: float
    velocity: float
    acceleration: float
    goal_jump: float
    measurement_jump: float
    measurement_tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Raises InvalidSetting: an empty range, or a limit that is not a positive number."""
        if math.isnan(self.lower) or math.isnan(self.upper) or self.lower >= self.upper:
            raise InvalidSetting(f"Axis '{self.name}': lower {self.lower} must be below upper {self.upper}.")
        for field in ("velocity", "acceleration", "goal_jump", "measurement_jump"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise InvalidSetting(f"Axis '{self.name}': {field} must be a positive number, got {value}.")
        if not (math.isfinite(self.measurement_tolerance) and self.measurement_tolerance >= 0):
            raise InvalidSetting(
                f"Axis '{self.name}': measurement_tolerance must be 0 or more, got {self.measurement_tolerance}."
            )


@dataclass(frozen=True)
class RobotLimits:
    """The limits of all commanded axes; their order is the order of every target and measurement."""

    axes: tuple[AxisLimits, ...]

    def __post_init__(self) -> None:
        """Raises InvalidSetting: no axis, or two of the same name."""
        if not self.axes:
            raise InvalidSetting("A robot needs at least one axis with limits.")
        if len(set(self.names)) != len(self.axes):
            raise InvalidSetting(f"Every axis needs a name of its own, got {', '.join(self.names)}.")

    @property
    def names(self) -> tuple[str, ...]:
        """Axis names in order."""
        return tuple(axis.name for axis in self.axes)

    @property
    def n_axes(self) -> int:
        """How many axes are commanded."""
        return len(self.axes)

    def index(self, name: str) -> int:
        """Return the position of an axis. Raises UnknownName: there is none of that name."""
        if name not in self.names:
            raise UnknownName("axis", name, self.names, where="the robot's limits")
        return self.names.index(name)

    def _column(self, field: str) -> Float64[np.ndarray, " axis"]:
        return np.array([getattr(axis, field) for axis in self.axes], dtype=np.float64)

    @cached_property
    def lower(self) -> Float64[np.ndarray, " axis"]:
        """Smallest position of every axis."""
        return self._column("lower")

    @cached_property
    def upper(self) -> Float64[np.ndarray, " axis"]:
        """Largest position of every axis."""
        return self._column("upper")

    @cached_property
    def velocity(self) -> Float64[np.ndarray, " axis"]:
        """Largest speed of every axis, unit/s."""
        return self._column("velocity")

    @cached_property
    def acceleration(self) -> Float64[np.ndarray, " axis"]:
        """Largest acceleration of every axis, unit/s^2."""
        return self._column("acceleration")

    @cached_property
    def goal_jump(self) -> Float64[np.ndarray, " axis"]:
        """Largest distance between two goals of every axis."""
        return self._column("goal_jump")

    @cached_property
    def measurement_jump(self) -> Float64[np.ndarray, " axis"]:
        """Largest unexplained change between two measurements of every axis."""
        return self._column("measurement_jump")

    @cached_property
    def measurement_tolerance(self) -> Float64[np.ndarray, " axis"]:
        """How far outside its range a measurement may lie, every axis."""
        return self._column("measurement_tolerance")
