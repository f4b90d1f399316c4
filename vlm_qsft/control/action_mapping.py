"""From the action of a policy to the goals of a robot's axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from vlm_qsft.control.limits import RobotLimits
from vlm_qsft.errors import InvalidSetting, UnknownName

ActionKind = Literal["absolute", "delta_from_goal", "delta_from_measured", "switch"]
Interpolation = Literal["linear", "step"]


class GoalMapping(Protocol):
    """Anything that turns an action chunk into goals of the axes."""

    @property
    def limits(self) -> RobotLimits:
        """Of the robot; their order is the order of the goals."""
        ...

    @property
    def action_dim(self) -> int:
        """How many dimensions an action has."""
        ...

    @property
    def linear(self) -> Bool[np.ndarray, " axis"]:
        """Axes whose goals are interpolated; the others take the next goal at once."""
        ...

    def goals(
        self,
        action: Num[np.ndarray, "step action_dim"],
        *,
        goal: Float64[np.ndarray, " axis"],
        measured: Float64[np.ndarray, " axis"],
    ) -> Float64[np.ndarray, "step axis"]:
        """Return the goal of every axis after each step, inside the limits.

        Args:
            action: finite, physical units of the checkpoint.
            goal: the goals in force when the policy was asked.
            measured: what was measured then.

        Raises:
            Unreachable: no position of the axes does what the action asks for.
        """
        ...


@dataclass(frozen=True)
class AxisAction:
    """How one axis reads the action: goal = [base +] scale * action + offset.

    Attributes:
        axis: name of the axis in the robot's limits.
        action: name of the action dimension in the checkpoint.
        kind: "absolute"; "delta_from_goal" adds to the goal before it (no drift when the arm sags or lags);
            "delta_from_measured" adds to what was measured when the policy was asked. It must be what the data used.
            "switch": the upper limit where scale * action + offset is above 0, else the lower one: a gripper that
            opens or closes.
        scale: axis units per unit of the action.
        offset: axis units.
        interpolation: "linear" between two steps; "step" takes the goal at once (a gripper that opens or closes).
    """

    axis: str
    action: str
    kind: ActionKind
    scale: float = 1.0
    offset: float = 0.0
    interpolation: Interpolation = "linear"

    def __post_init__(self) -> None:
        """Raises UnknownName, InvalidSetting: an unknown kind or interpolation, a scale that is zero or not finite."""
        if self.kind not in get_args(ActionKind):
            raise UnknownName("action kind", self.kind, get_args(ActionKind), where=f"axis '{self.axis}'")
        if self.interpolation not in get_args(Interpolation):
            raise UnknownName("interpolation", self.interpolation, get_args(Interpolation), where=f"axis '{self.axis}'")
        if not (math.isfinite(self.scale) and self.scale != 0 and math.isfinite(self.offset)):
            raise InvalidSetting(
                f"Axis '{self.axis}': scale must be finite and not zero and offset finite; "
                f"got {self.scale} and {self.offset}."
            )


@dataclass(frozen=True)
class ActionMapping:
    """The reading of all axes, complete in both directions: every axis is driven, every action dimension is used.

    Attributes:
        action_names: of the checkpoint, in its order.
        axis_actions: one per axis, in any order.
        limits: of the robot; goals outside are moved onto the limit.
    """

    action_names: tuple[str, ...]
    axis_actions: tuple[AxisAction, ...]
    limits: RobotLimits

    def __post_init__(self) -> None:
        """Raises UnknownName, InvalidSetting: a name that does not exist, an axis or an action without its partner."""
        for entry in self.axis_actions:
            self.limits.index(entry.axis)
            if entry.action not in self.action_names:
                raise UnknownName("action", entry.action, self.action_names, where="the checkpoint")
        driven = [entry.axis for entry in self.axis_actions]
        if sorted(driven) != sorted(self.limits.names):
            raise InvalidSetting(
                f"Every axis needs exactly one action: axes {', '.join(self.limits.names)}; "
                f"driven: {', '.join(driven) or 'none'}."
            )
        unused = set(self.action_names) - {entry.action for entry in self.axis_actions}
        if unused:
            raise InvalidSetting(f"No axis uses the checkpoint's action {', '.join(sorted(unused))}: map it.")
        check_switches(self.axis_actions, self.limits)

    @property
    def action_dim(self) -> int:
        """How many dimensions an action has."""
        return len(self.action_names)

    @cached_property
    def _ordered(self) -> list[AxisAction]:
        by_axis = {entry.axis: entry for entry in self.axis_actions}
        return [by_axis[name] for name in self.limits.names]

    @cached_property
    def _columns(self) -> Int64[np.ndarray, " axis"]:
        return np.array([self.action_names.index(entry.action) for entry in self._ordered], dtype=np.int64)

    @property
    def linear(self) -> Bool[np.ndarray, " axis"]:
        """Axes whose goals are interpolated."""
        return np.array([entry.interpolation == "linear" for entry in self._ordered])

    def goals(
        self,
        action: Num[np.ndarray, "step action_dim"],
        *,
        goal: Float64[np.ndarray, " axis"],
        measured: Float64[np.ndarray, " axis"],
    ) -> Float64[np.ndarray, "step axis"]:
        """Return the goal of every axis after each step of an action chunk, inside the limits.

        Args:
            action: finite, physical units of the checkpoint.
            goal: the goals in force when the policy was asked.
            measured: what was measured then.
        """
        scale = np.array([entry.scale for entry in self._ordered])
        offset = np.array([entry.offset for entry in self._ordered])
        values = action[:, self._columns].astype(np.float64) * scale + offset
        switch = np.array([entry.kind == "switch" for entry in self._ordered])
        values = np.where(switch, np.where(values > 0, self.limits.upper, self.limits.lower), values)
        absolute = switch | np.array([entry.kind == "absolute" for entry in self._ordered])
        from_measured = np.array([entry.kind == "delta_from_measured" for entry in self._ordered])
        before = np.where(from_measured, measured, goal)
        goals = np.empty_like(values)
        for step, value in enumerate(values):
            # Clipped step by step: an axis pushed against its limit leaves it with the first step the other way.
            before = np.clip(np.where(absolute, value, before + value), self.limits.lower, self.limits.upper)
            goals[step] = before
        return goals


def check_switches(axis_actions: tuple[AxisAction, ...], limits: RobotLimits) -> None:
    """Check that every switch has two ends. Raises InvalidSetting: an axis without end."""
    for entry in axis_actions:
        axis = limits.axes[limits.index(entry.axis)]
        if entry.kind == "switch" and not (math.isfinite(axis.lower) and math.isfinite(axis.upper)):
            raise InvalidSetting(
                f"Axis '{entry.axis}' is a switch and needs finite limits: it goes from one to the other."
            )
