"""A controller for the simulated arm in the space of its tool: the limits that the environment itself has."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from qsft_sim.environment import ACTION_NAMES, CONTROL_HZ, MOVE_SCALE_M, TURN_SCALE_RAD
from qsft_sim.world import TOOL_HIGH_M, TOOL_LOW_M, TOOL_TURN_RAD, TabletopWorld
from vlm_qsft.control import (
    MEASUREMENT,
    ActionMapping,
    AxisAction,
    AxisLimits,
    CameraInput,
    Controller,
    ControlSettings,
    RobotLimits,
    VectorInput,
)

PERIOD_S = 1 / CONTROL_HZ
LONGEST_AGE_S = 2.5 * PERIOD_S
_PLACE_AXES = ("x", "y", "z")
_TURN_AXES = ("roll", "pitch", "yaw")
# One control step reaches its goal whatever the speed before, but for the way of braking, which is far below what
# counts as arrived: the environment itself joins the steps smoothly.
_UNLIMITED = 1e7
_FROZEN_MOTION_M = 0.02


def tool_controller(*, action_dim: int, cameras: tuple[str, ...], chunk: int, min_value: float | None) -> Controller:
    """Return an inactive controller whose axes are the tool's place and turns and the gripper.

    Args:
        action_dim: 5 or 7, see `environment.ACTION_NAMES`.
        cameras: watched for age and frozen pictures.
        chunk: steps of an action chunk; all of them are executed, as in evaluation.
        min_value: a decision of lower value makes the arm hold.
    """
    names = ACTION_NAMES[action_dim]
    turns = tuple(axis for axis in _TURN_AXES if f"d{axis}" in names)
    axes = [
        _axis(axis, "m", float(low), float(high), MOVE_SCALE_M)
        for axis, low, high in zip(_PLACE_AXES, TOOL_LOW_M, TOOL_HIGH_M, strict=True)
    ]
    for axis in turns:
        most = float(TOOL_TURN_RAD[_TURN_AXES.index(axis)])
        axes.append(_axis(axis, "rad", -most, most, TURN_SCALE_RAD))
    axes.append(AxisLimits("gripper", "1", -1.0, 1.0, 20.0, _UNLIMITED, goal_jump=3.0, measurement_jump=3.0))
    actions = [
        AxisAction(axis, f"d{axis}", "delta_from_goal", scale=TURN_SCALE_RAD if axis in turns else MOVE_SCALE_M)
        for axis in (*_PLACE_AXES, *turns)
    ]
    gripper = AxisAction("gripper", "gripper", "absolute", interpolation="step")
    return Controller(
        mapping=ActionMapping(names, (*actions, gripper), RobotLimits(tuple(axes))),
        settings=ControlSettings(
            period_s=PERIOD_S,
            step_s=PERIOD_S,
            execute_steps=chunk,
            decision_timeout_s=10 * PERIOD_S,
            max_tick_gap_s=2.5 * PERIOD_S,
            min_value=min_value,
        ),
        inputs=(
            VectorInput(MEASUREMENT, len(axes), max_age_s=LONGEST_AGE_S),
            *(CameraInput(name, max_age_s=LONGEST_AGE_S, frozen_motion=_FROZEN_MOTION_M) for name in cameras),
        ),
    )


def measured_tool(world: TabletopWorld, action_dim: int) -> Float64[np.ndarray, " axis"]:
    """Return where the tool is: the place as measured, turns and gripper as commanded."""
    turns = world.tool_turn_rad[-1:] if action_dim == 5 else world.tool_turn_rad
    return np.concatenate([world.tool_position_m, turns, [1.0 if world.gripper_open else -1.0]])


def action_towards(
    target: Float64[np.ndarray, " axis"], world: TabletopWorld, action_dim: int
) -> Float64[np.ndarray, " action_dim"]:
    """Return the action of the environment that brings the commanded tool to a target of the controller."""
    turned = world.tool_turn_rad[-1:] if action_dim == 5 else world.tool_turn_rad
    moves = (target[:3] - world.tool_target_m) / MOVE_SCALE_M
    turns = (target[3:-1] - turned) / TURN_SCALE_RAD
    return np.concatenate([moves, turns, target[-1:]])


def _axis(name: str, unit: str, lower: float, upper: float, per_step: float) -> AxisLimits:
    return AxisLimits(
        name,
        unit,
        lower,
        upper,
        velocity=per_step / PERIOD_S,
        acceleration=_UNLIMITED,
        goal_jump=2.2 * per_step,  # from a goal that was not quite reached
        measurement_jump=per_step,  # the arm swings
        measurement_tolerance=per_step,
    )
