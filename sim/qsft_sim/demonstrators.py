"""Scripted demonstrators: a phase machine that knows where everything is, with the faults of its quality."""

from __future__ import annotations

from enum import IntEnum, auto

import numpy as np
from jaxtyping import Float64

from qsft_sim.environment import MOVE_SCALE_M, TURN_SCALE_RAD, TabletopEnvironment
from qsft_sim.qualities import Quality, quality_named
from vlm_qsft.types import Decision, Observation

_HOVER_HEIGHT_M = 0.13
_VISIT_HEIGHT_M = 0.08
_CARRY_HEIGHT_M = 0.16
_RELEASE_HEIGHT_M = 0.022
_LOWEST_GRASP_M = 0.014
# Centre distance aimed at when an object is put near another: they touch at 0.04, the task asks for 0.10.
_PLACE_DISTANCE_M = 0.075
_COARSE_M = 0.012
_FINE_M = 0.008
# Who does not hit the spot exactly closes the gripper anyway after this many steps this near to it.
_NEAR_M = 0.03
_PATIENCE_STEPS = 2
# An object in the hand of a lifted arm is higher than this.
_HELD_HEIGHT_M = 0.08
# An operator who believes the task done stops the recording after this many steps.
_SATISFIED_STEPS = 2
_CLOSING_STEPS = 4
_OPENING_STEPS = 3


class _Phase(IntEnum):
    VISIT = auto()
    HOVER = auto()
    DESCEND = auto()
    CLOSE = auto()
    LIFT = auto()
    CARRY = auto()
    LOWER = auto()
    OPEN = auto()
    RETREAT = auto()


class Demonstrator:
    """Implements `vlm_qsft.types.Policy` with the true state of an environment instead of the observation.

    It acts in the environment given to `watch`, for the scene placed there. Decisions carry no bins: `action_bins`
    is -1 and the distributions have no columns.
    """

    def __init__(self, quality: Quality | str = "expert") -> None:
        self.quality = quality_named(quality) if isinstance(quality, str) else quality
        self._environment: TabletopEnvironment | None = None
        self._generator = np.random.default_rng(0)
        self._phase = _Phase.HOVER
        self._steps_in_phase = 0
        self._burst_left = 0
        self._object = 0
        self._visited = 0
        self._offset_m = np.zeros(3)
        self._grasp_m = np.zeros(3)
        self._place_m = np.zeros(2)

    def watch(self, environment: TabletopEnvironment) -> None:
        """Give the demonstrator the environment it acts in."""
        self._environment = environment

    @property
    def intended_object(self) -> int:
        """Number of the object it goes for in this episode."""
        return self._object

    @property
    def has_finished(self) -> bool:
        """Whether it believes the task done, rightly or not: an operator would stop the recording now."""
        last = _Phase.RETREAT if self._watched.scene.task == "near" else _Phase.LIFT
        return self._phase is last and self._steps_in_phase > _SATISFIED_STEPS

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        """Begin the episode that the environment has just begun; draws the faults that last a whole episode."""
        scene = self._watched.scene
        generator = self._generator = np.random.default_rng(seed)
        self._steps_in_phase, self._burst_left = 0, 0
        self._offset_m = self._draw_offset()
        errs, visits = generator.random(2) < (self.quality.wrong_object, self.quality.detour)
        self._object = scene.target
        if errs:
            self._object = self._any_object_but(scene.target)
        self._visited = self._any_object_but(self._object)
        self._phase = _Phase.VISIT if visits else _Phase.HOVER

    def act(self, observation: Observation) -> Decision:
        """Decide one step from the environment's true state; the observation is not looked at."""
        action = self._with_faults(self._intended_action())
        action_dim = self._watched.settings.action_dim
        if action_dim == 7:
            action = np.concatenate([action[:3], [0.0, 0.0], action[3:]])
        no_bins = np.zeros((1, action_dim, 0), np.float32)
        return Decision(
            action=action[None].astype(np.float32),
            action_bins=np.full((1, action_dim), -1, np.int64),
            q_values=no_bins,
            probabilities=no_bins,
            value=float("nan"),
            entropy=float("nan"),
            latency_s=0.0,
        )

    @property
    def _watched(self) -> TabletopEnvironment:
        if self._environment is None:
            raise RuntimeError("A demonstrator acts on true state: call watch(environment) first.")
        return self._environment

    def _draw_offset(self) -> Float64[np.ndarray, " 3"]:
        """Return the error of one attempt to grasp."""
        return self._generator.normal(0, 1, 3) * self.quality.grasp_offset_m * np.array([1, 1, 0.3])

    def _any_object_but(self, number: int) -> int:
        """Return another object of the scene; `number` itself where it stands alone."""
        others = [other for other in range(len(self._watched.scene.objects)) if other != number]
        return int(self._generator.choice(others)) if others else number

    def _with_faults(self, action: Float64[np.ndarray, " 5"]) -> Float64[np.ndarray, " 5"]:
        """Return the action after speed limit, pause, noise and bursts; the same number of draws in every step."""
        quality, generator = self.quality, self._generator
        noise = generator.normal(0, 1, 4) * quality.action_noise * np.array([1, 1, 1, 0.3])
        random_action = generator.uniform(-1, 1, 5)
        burst_begins, pauses = generator.random(2) < (quality.burst, quality.pause)
        action = action.copy()
        action[:4] = np.clip(action[:4], -quality.speed, quality.speed) + noise
        if pauses:
            action[:4] = 0
        if burst_begins:
            self._burst_left = quality.burst_steps
        if self._burst_left > 0:
            self._burst_left -= 1
            action = random_action
        return np.clip(action, -1, 1)

    def _intended_action(self) -> Float64[np.ndarray, " 5"]:
        goal_m, gripper_open = self._goal()
        world = self._watched.world
        action = np.zeros(5)
        action[:3] = (goal_m - world.tool_target_m) / MOVE_SCALE_M
        if self._phase in (_Phase.HOVER, _Phase.DESCEND):
            action[3] = (self._grasp_yaw_rad() - world.tool_turn_rad[2]) / TURN_SCALE_RAD
        action[4] = 1.0 if gripper_open else -1.0
        return np.clip(action, -1, 1)

    def _grasp_yaw_rad(self) -> float:
        """Return the turn that puts the fingers flat on a cube, of four the one nearest to zero; 0 for round things."""
        scene = self._watched.scene
        if scene.objects[self._object].shape != "cube":
            return 0.0
        quarter = np.pi / 2
        return float((self._watched.world.object_yaw_rad(self._object) + quarter / 2) % quarter - quarter / 2)

    def _goal(self) -> tuple[Float64[np.ndarray, " 3"], bool]:
        """Return where the tool should go now and whether the gripper is open; changes phase where one is due."""
        world, scene = self._watched.world, self._watched.scene
        positions = world.table_state().object_position_m
        grasp_m = positions[self._object] + self._offset_m
        tool_m = world.tool_target_m
        visit_m = _above(positions[self._visited], _VISIT_HEIGHT_M)
        if self._phase is _Phase.VISIT and _distance(tool_m, visit_m) < _COARSE_M:
            self._enter(_Phase.HOVER)
        if self._phase is _Phase.VISIT:
            return visit_m, True
        if self._phase is _Phase.HOVER and _distance(tool_m, _above(grasp_m, _HOVER_HEIGHT_M)) < _COARSE_M:
            self._enter(_Phase.DESCEND)
        if self._phase is _Phase.HOVER:
            return _above(grasp_m, _HOVER_HEIGHT_M), True
        grasp_m[2] = max(grasp_m[2], _LOWEST_GRASP_M)
        if self._phase is _Phase.DESCEND:
            distance_m = _distance(tool_m, grasp_m)
            if distance_m < _FINE_M or self._steps_in_phase >= _PATIENCE_STEPS:
                self._enter(_Phase.CLOSE)
            self._steps_in_phase += distance_m < _NEAR_M
        if self._phase is _Phase.DESCEND:
            return grasp_m, True
        if self._phase is _Phase.CLOSE:
            self._steps_in_phase += 1
            if self._steps_in_phase < _CLOSING_STEPS:
                return tool_m, False
            self._grasp_m = tool_m.copy()
            self._enter(_Phase.LIFT)
        if self._phase is _Phase.LIFT:
            lifted = _is_at_carry_height(tool_m)
            self._steps_in_phase += lifted
            if lifted and positions[self._object][2] < _HELD_HEIGHT_M:
                self._offset_m = self._draw_offset()
                self._enter(_Phase.HOVER)
                return _above(grasp_m, _HOVER_HEIGHT_M), True
            if scene.task != "near" or not lifted:
                return _above(self._grasp_m, _CARRY_HEIGHT_M), False
            self._place_m = self._place_near(positions[self._reference()])
            self._enter(_Phase.CARRY)
        if self._phase is _Phase.CARRY and _distance(tool_m, _above(self._place_m, _CARRY_HEIGHT_M)) < _COARSE_M:
            self._enter(_Phase.LOWER)
        if self._phase is _Phase.CARRY:
            return _above(self._place_m, _CARRY_HEIGHT_M), False
        if self._phase is _Phase.LOWER and _distance(tool_m, _above(self._place_m, _RELEASE_HEIGHT_M)) < _FINE_M:
            self._enter(_Phase.OPEN)
        if self._phase is _Phase.LOWER:
            return _above(self._place_m, _RELEASE_HEIGHT_M), False
        if self._phase is _Phase.OPEN:
            self._steps_in_phase += 1
            if self._steps_in_phase < _OPENING_STEPS:
                return tool_m, True
            self._enter(_Phase.RETREAT)
        self._steps_in_phase += _is_at_carry_height(tool_m)
        return _above(self._place_m, _CARRY_HEIGHT_M), True

    def _reference(self) -> int:
        """Return the object to put the grasped one near; when that is the reference itself, the target."""
        scene = self._watched.scene
        return scene.target if self._object == scene.reference else scene.reference

    def _place_near(self, reference_m: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, " 2"]:
        """Return a place 7.5 cm from the reference, on the side from which the object comes."""
        away = self._grasp_m[:2] - reference_m[:2]
        return reference_m[:2] + away / (np.linalg.norm(away) + 1e-6) * _PLACE_DISTANCE_M

    def _enter(self, phase: _Phase) -> None:
        self._phase, self._steps_in_phase = phase, 0


def _above(place_m: np.ndarray, height_m: float) -> Float64[np.ndarray, " 3"]:
    return np.array([place_m[0], place_m[1], height_m])


def _is_at_carry_height(tool_m: np.ndarray) -> bool:
    return abs(float(tool_m[2]) - _CARRY_HEIGHT_M) < _COARSE_M


def _distance(first_m: np.ndarray, second_m: np.ndarray) -> float:
    return float(np.linalg.norm(first_m - second_m))
