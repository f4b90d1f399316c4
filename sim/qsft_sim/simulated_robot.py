"""The tabletop as a robot that runs on its own: time passes, sensors read, commands arrive at any moment. No ROS.

    reset -> setting up (nothing is read) -> running --followed--> success
                                                     --time limit--> failure

Its clock counts from the start of the program and never goes back, whatever the resets. A robot with a demonstrator
drives itself, one action per control step; what it does then is what `recording.record_episode` records.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float64

from qsft_sim.demonstrators import Demonstrator
from qsft_sim.environment import CONTROL_HZ, StepResult, TabletopEnvironment
from qsft_sim.joint_trajectory import JointTrajectory, JointTrajectoryFollower
from qsft_sim.model import N_JOINTS
from qsft_sim.seeds import policy_seed, scene_seed
from qsft_sim.simulated_robot_settings import SceneChoice, SimulatedRobotSettings
from qsft_sim.tasks import TASKS, handled_objects
from vlm_qsft.errors import CommandRefused

ARM_JOINTS = tuple(f"joint_{number}" for number in range(1, N_JOINTS + 1))
FINGER_JOINT = "finger_joint"
JOINT_NAMES = (*ARM_JOINTS, FINGER_JOINT)

SET_UP_S = 0.4
"""After a reset nothing is read for this long: two control steps, so that no message of the old scene is taken for one
of the new, in a log or in a controller."""


class Outcome(StrEnum):
    """Where an episode stands."""

    NONE = "none"
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, eq=False)
class Demonstration:
    """The action that a demonstrator has just begun.

    Attributes:
        stamp_s: of the observation that it answers.
        action: in the units of the environment's actions.
    """

    stamp_s: float
    action: Float64[np.ndarray, " action_dim"]


@dataclass(frozen=True, eq=False)
class Sensed:
    """What the sensors read at the end of a tick; empty while a scene is being set up.

    Attributes:
        stamp_s: of the readings.
        positions, velocities: of `JOINT_NAMES`; rad and m.
        tool_target_m: commanded place of the tool in the frame of the base.
        pictures: camera -> RGB; empty between two pictures.
    """

    stamp_s: float
    positions: Float64[np.ndarray, " 8"]
    velocities: Float64[np.ndarray, " 8"]
    tool_target_m: Float64[np.ndarray, " 3"]
    pictures: dict[str, np.ndarray]


class SimulatedRobot:
    """Table, arm and cameras in simulated time; call `advance` once per `tick_s`."""

    def __init__(self, settings: SimulatedRobotSettings | None = None) -> None:
        """Build a robot without a scene: call `reset`.

        Raises:
            UnknownName: no such quality of a demonstrator.
            RenderingUnavailable: the wanted back end does not work here.
        """
        self.settings = settings or SimulatedRobotSettings()
        self.environment = TabletopEnvironment(self.settings.environment)
        self.tick_s = self.environment.world.piece_s
        self.outcome = Outcome.NONE
        self.wrong_object = False
        self.choice: SceneChoice | None = None
        quality = self.settings.demonstrator
        self._demonstrator = None if quality is None else Demonstrator(quality)
        self._step: Generator[None, None, StepResult] | None = None
        self._begun: list[Demonstration] = []
        self._ticks = 0
        self._episode_ticks = 0
        self._set_up_ticks = 0
        self._next_picture_s = 0.0
        self._arm = JointTrajectoryFollower(ARM_JOINTS, np.zeros(N_JOINTS))
        self._finger = JointTrajectoryFollower((FINGER_JOINT,), np.zeros(1))

    @property
    def now_s(self) -> float:
        """Simulated time since the robot was built."""
        return self._ticks * self.tick_s

    @property
    def episode_s(self) -> float:
        """Simulated time since the scene was ready."""
        return self._episode_ticks * self.tick_s

    @property
    def instruction(self) -> str:
        """What the scene asks for; empty without a scene."""
        return "" if self.choice is None else self.environment.instruction

    @property
    def is_set_up(self) -> bool:
        """Whether there is a scene and its setting up is over."""
        return self.choice is not None and self._set_up_ticks == 0

    @property
    def handled(self) -> str:
        """The objects that were lifted or carried, in words."""
        if self.choice is None:
            return ""
        numbers = handled_objects(self.environment.world.table_state())
        return ", ".join(self.environment.scene.objects[number].description for number in numbers)

    def reset(self, choice: SceneChoice) -> None:
        """Set a scene; the episode begins after `SET_UP_S`. A trajectory under way is dropped."""
        seed = scene_seed(choice.base, choice.task, choice.episode, seed=choice.seed)
        self.environment.reset(seed=seed, options={"task": choice.task})
        self.choice = choice
        self.outcome, self.wrong_object = Outcome.RUNNING, False
        self._step, self._begun = None, []
        self._episode_ticks, self._set_up_ticks = 0, round(SET_UP_S / self.tick_s)
        self._stay()
        if self._demonstrator is not None:
            self._demonstrator.watch(self.environment)
            drawn = policy_seed(choice.base, choice.task, choice.episode, seed=choice.seed)
            self._demonstrator.reset(self.instruction, seed=drawn)

    def command(self, trajectory: JointTrajectory) -> None:
        """Follow a trajectory of the arm's joints, of the finger joint, or of all of them.

        Raises:
            CommandRefused: there is no scene, a demonstrator drives, or the trajectory cannot be followed; then the one
                under way goes on.
        """
        if not self.is_set_up:
            raise CommandRefused("The robot has no scene yet, or is being set up.")
        if self._demonstrator is not None:
            raise CommandRefused(f"The demonstrator '{self.settings.demonstrator}' drives this robot.")
        names = trajectory.joint_names
        followers = [follower for follower in (self._arm, self._finger) if set(follower.joint_names) <= set(names)]
        known = [name for follower in followers for name in follower.joint_names]
        if not followers or sorted(known) != sorted(names):
            raise CommandRefused(
                f"The trajectory is for {', '.join(names) or 'no joint'}; expected {', '.join(ARM_JOINTS)}, or "
                f"{FINGER_JOINT}, or all of them."
            )
        parts = [trajectory.of_joints(follower.joint_names) for follower in followers]
        for follower, part in zip(followers, parts, strict=True):
            follower.check(part, self.now_s)
        for follower, part in zip(followers, parts, strict=True):
            follower.accept(part, self.now_s)

    def advance(self) -> Sensed | None:
        """Let one tick pass and return what the sensors read; None while there is nothing to read."""
        self._ticks += 1
        if self.choice is None:
            return None
        if self._set_up_ticks > 0:
            self._set_up_ticks -= 1
            if self._set_up_ticks > 0:
                return None
            self._next_picture_s = self.now_s
            return self._sense()
        self._move()
        self._episode_ticks += 1
        self._judge()
        return self._sense()

    def take_demonstration(self) -> Demonstration | None:
        """Return the action that the demonstrator began at this moment, once; None when it began none.

        Call it after `advance`: the action answers what was sensed there, and the next tick carries it out.
        """
        driving = self._demonstrator is not None and self.outcome is Outcome.RUNNING and self.is_set_up
        if not driving or self._demonstrator is None or self._step is not None:
            return None
        action = self._demonstrator.act(self.environment.observation()).action[0]
        self._step = self.environment.step_in_pieces(action)
        return Demonstration(self.now_s, action)

    def _move(self) -> None:
        if self._demonstrator is None or self._step is None:
            joints = self._arm.advance(self.now_s)
            self.environment.world.drive(joints, float(self._finger.advance(self.now_s)[0]))
            return
        next(self._step)
        if (self._episode_ticks + 1) % self._ticks_per_step == 0:
            self._end_step(self._step)

    @property
    def _ticks_per_step(self) -> int:
        return round(1 / CONTROL_HZ / self.tick_s)

    def _end_step(self, step: Generator[None, None, StepResult]) -> None:
        self._step = None
        try:
            next(step)
        except StopIteration as end:
            _, _, terminated, truncated, facts = end.value
            self.wrong_object = bool(facts["wrong_object"])
            if terminated or truncated:
                self.outcome = Outcome.SUCCESS if terminated else Outcome.FAILURE
                self._stay()

    def _stay(self) -> None:
        world = self.environment.world
        self._arm.hold(world.joint_targets_rad)
        self._finger.hold(np.array([world.finger_target_m]))

    def _judge(self) -> None:
        """Judge as often as an evaluation does: at the end of every control step."""
        if self._demonstrator is not None or self.outcome is not Outcome.RUNNING:
            return
        if self._episode_ticks % self._ticks_per_step != 0:
            return
        scene, state = self.environment.scene, self.environment.world.table_state()
        self.wrong_object = self.wrong_object or any(number != scene.target for number in handled_objects(state))
        if TASKS[scene.task].followed(state, scene.target, scene.reference):
            self.outcome = Outcome.SUCCESS
        elif self.episode_s >= self.settings.time_limit_s:
            self.outcome = Outcome.FAILURE

    def _sense(self) -> Sensed:
        world = self.environment.world
        pictures: dict[str, np.ndarray] = {}
        # Half a tick of tolerance: sums of ticks and of picture periods differ in their last digits.
        if self.now_s >= self._next_picture_s - self.tick_s / 2:
            self._next_picture_s += 1 / self.settings.camera_hz
            pictures = self.environment.pictures()
        return Sensed(
            self.now_s,
            np.append(world.joints_rad, world.finger_opening_m),
            np.append(world.joint_velocities_rad_s, world.finger_velocity_m_s),
            world.tool_target_m.copy(),
            pictures,
        )
