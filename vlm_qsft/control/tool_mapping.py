"""From actions that move the tool to goals of the joints, by inverse kinematics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Num

from vlm_qsft.control.action_mapping import ActionMapping, AxisAction
from vlm_qsft.control.kinematics import Kinematics, Vector, rotation_from_turn, turn_from_rotation
from vlm_qsft.control.limits import RobotLimits
from vlm_qsft.control.workspace import WorkspaceBox
from vlm_qsft.errors import InvalidSetting, UnknownName, Unreachable


@dataclass(frozen=True)
class ToolAction:
    """How an action moves the tool: differences to the pose that was commanded before, in the base frame.

    Attributes:
        move: names of the action dimensions along x, y, z.
        turn: names of the action dimensions about x, y, z (roll, pitch, yaw); "" where the data never turned: that
            angle stays zero.
        move_scale_m: metres per unit of a move.
        turn_scale_rad: rad per unit of a turn.
        reference_turn_rad: roll, pitch, yaw of the tool orientation from which the turns count; (pi, 0, 0) is a
            gripper that points straight down.
        largest_turn_rad: roll, pitch, yaw never leave plus or minus this.
        workspace: the commanded tool position is moved onto this box.
        tolerance_m: a pose that inverse kinematics misses by more is unreachable.
    """

    move: tuple[str, str, str]
    turn: tuple[str, str, str]
    move_scale_m: float
    turn_scale_rad: float
    reference_turn_rad: tuple[float, float, float]
    largest_turn_rad: tuple[float, float, float]
    workspace: WorkspaceBox
    tolerance_m: float = 0.02

    def __post_init__(self) -> None:
        """Raises InvalidSetting: a scale, an angle or the tolerance outside its range."""
        for field in ("move_scale_m", "turn_scale_rad", "tolerance_m"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise InvalidSetting(f"{field} must be a positive number, got {value}.")
        if not all(0 <= angle <= math.pi for angle in self.largest_turn_rad):
            raise InvalidSetting(f"largest_turn_rad must lie in [0, pi], got {self.largest_turn_rad}.")
        if not all(map(math.isfinite, self.reference_turn_rad)):
            raise InvalidSetting(f"reference_turn_rad must be numbers, got {self.reference_turn_rad}.")

    @property
    def names(self) -> tuple[str, ...]:
        """The action dimensions that move the tool."""
        return tuple(name for name in (*self.move, *self.turn) if name)


class ToolActionMapping:
    """Goals of joints and grippers for actions of the tool; every action dimension and every axis is used.

    The pose of each goal is remembered exactly. Reading it back through the joints would add the tolerance of inverse
    kinematics at every step.
    """

    def __init__(
        self,
        *,
        action_names: tuple[str, ...],
        tool: ToolAction,
        arm_joints: tuple[str, ...],
        axis_actions: tuple[AxisAction, ...],
        limits: RobotLimits,
        kinematics: Kinematics,
    ) -> None:
        """Build the mapping.

        Args:
            action_names: of the checkpoint, in its order.
            tool: which of them move the tool.
            arm_joints: names of the axes that kinematics moves, in its order.
            axis_actions: for every other axis.
            limits: of all axes.
            kinematics: of the arm.

        Raises:
            UnknownName: an axis or an action that does not exist.
            InvalidSetting: an axis or an action without its partner.
        """
        self.limits = limits
        self._tool = tool
        self._kinematics = kinematics
        self._arm = np.array([limits.index(name) for name in arm_joints])
        for name in tool.names:
            _check_known(name, action_names)
        others = tuple(name for name in action_names if name not in tool.names)
        rest = tuple(axis for axis in limits.axes if axis.name not in arm_joints)
        self._rest = np.array([limits.index(axis.name) for axis in rest], dtype=np.int64)
        self._rest_columns = [action_names.index(name) for name in others]
        self._rest_mapping = ActionMapping(others, axis_actions, RobotLimits(rest)) if rest or axis_actions else None
        if self._rest_mapping is None and others:
            raise InvalidSetting(f"Nothing uses the checkpoint's action {', '.join(others)}: map it.")
        self._columns = [action_names.index(name) if name else None for name in (*tool.move, *tool.turn)]
        self._action_dim = len(action_names)
        self._reference = rotation_from_turn(np.array(tool.reference_turn_rad))
        self._poses: list[tuple[np.ndarray, Vector, Vector]] = []

    @property
    def action_dim(self) -> int:
        """How many dimensions an action has."""
        return self._action_dim

    @property
    def linear(self) -> Bool[np.ndarray, " axis"]:
        """Axes whose goals are interpolated: every joint of the arm, and what the other axes say."""
        linear = np.ones(self.limits.n_axes, dtype=bool)
        if self._rest_mapping is not None:
            linear[self._rest] = self._rest_mapping.linear
        return linear

    def pose(self, position: Float64[np.ndarray, " axis"]) -> tuple[Vector, Vector]:
        """Return where the tool is, m, and its roll, pitch, yaw from the reference, for positions of the axes."""
        joints = position[self._arm]
        for known, place, turn in self._poses:
            if np.array_equal(known, joints):
                return place, turn
        place, rotation = self._kinematics.forward(joints)
        turn = turn_from_rotation(rotation @ self._reference.T)
        return place, np.where([column is None for column in self._columns[3:]], 0.0, turn)

    def goals(
        self,
        action: Num[np.ndarray, "step action_dim"],
        *,
        goal: Float64[np.ndarray, " axis"],
        measured: Float64[np.ndarray, " axis"],
    ) -> Float64[np.ndarray, "step axis"]:
        """Return the goal of every axis after each step; see `GoalMapping`.

        Raises:
            Unreachable: inverse kinematics misses a pose by more than the tolerance.
        """
        tool = self._tool
        place, turn = self.pose(goal)
        joints: np.ndarray = goal[self._arm]
        poses = []
        goals = np.empty((len(action), self.limits.n_axes))
        if self._rest_mapping is not None:
            goals[:, self._rest] = self._rest_mapping.goals(
                action[:, self._rest_columns], goal=goal[self._rest], measured=measured[self._rest]
            )
        box = tool.workspace
        zero = np.zeros(len(action))
        changes = np.stack([zero if column is None else action[:, column] for column in self._columns], axis=1)
        for step, change in enumerate(changes.astype(np.float64)):
            place = np.clip(place + change[:3] * tool.move_scale_m, box.lower_m, box.upper_m)
            largest = np.array(tool.largest_turn_rad)
            turn = np.clip(turn + change[3:] * tool.turn_scale_rad, -largest, largest)
            joints = self._joints(place, turn, joints)
            goals[step, self._arm] = joints
            poses.append((joints, place, turn))
        self._poses = poses
        return goals

    def _joints(self, place: Vector, turn: Vector, start: np.ndarray) -> np.ndarray:
        rotation = rotation_from_turn(turn) @ self._reference
        joints = self._kinematics.inverse(place, rotation, start)
        joints = np.clip(joints, self.limits.lower[self._arm], self.limits.upper[self._arm])
        missed_m = float(np.linalg.norm(self._kinematics.forward(joints)[0] - place))
        if not missed_m <= self._tool.tolerance_m:
            point = ", ".join(f"{coordinate:.3f}" for coordinate in place)
            raise Unreachable(
                f"The tool cannot reach ({point}) m: the nearest is {missed_m:.3f} m away, "
                f"allowed {self._tool.tolerance_m:g} m."
            )
        return joints


def _check_known(name: str, action_names: tuple[str, ...]) -> None:
    if name not in action_names:
        raise UnknownName("action", name, action_names, where="the checkpoint")
