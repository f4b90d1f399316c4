"""OperatedTable: the simulated table with a policy and a real controller, for an operator who talks with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import permutations
from threading import Event, RLock
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8

from qsft_sim.environment import TabletopEnvironment
from qsft_sim.rollout import PrivilegedPolicy
from qsft_sim.seeds import EVALUATION, policy_seed, scene_seed
from qsft_sim.tasks import TASKS, TableState
from qsft_sim.tool_control import PERIOD_S, action_towards, measured_tool, tool_controller
from vlm_qsft.control import Command, ControllerStatus, DecisionRequest, controller_status
from vlm_qsft.errors import QsftError
from vlm_qsft.types import Decision, Observation, Policy

KEPT_VALUES = 500


class OperatedTable:
    """A robot to talk to; see `vlm_qsft.dialogue.operator.OperatedRobot`.

    `step` lets one control period pass and is called from one thread, such as `drive`; everything else may be called
    from any. The policy thinks without the lock: a hold never waits for it.

    Attributes:
        silent_cameras: whose pictures get lost on the way to the controller: to see what it does then.
    """

    def __init__(
        self,
        environment: TabletopEnvironment,
        policy: Policy,
        *,
        task: str,
        scene: int = 0,
        chunk: int = 1,
        min_value: float | None = None,
        foresee: Policy | None = None,
    ) -> None:
        """Set a scene and activate the controller.

        Args:
            environment: with the policy's cameras and action.
            policy: drives the arm.
            task: of which scenes are drawn.
            scene: number of the first one, among the scenes of evaluation.
            chunk: steps of the policy's action chunk.
            min_value: a decision of lower value makes the arm hold.
            foresee: another instance of the policy, asked for the value of what may come; None asks nobody.
        """
        self._environment, self._policy, self._foresee, self._task = environment, policy, foresee, task
        self._action_dim = environment.settings.action_dim
        self._cameras = environment.settings.cameras
        self._controller = tool_controller(
            action_dim=self._action_dim, cameras=self._cameras, chunk=chunk, min_value=min_value
        )
        self._lock = RLock()
        self._scene = scene - 1
        self._now_s = 0.0
        self._values: list[float] = []
        self._decision: Decision | None = None
        self._followed = ""
        self._wanted: Callable[[TableState], bool] | None = None
        self.silent_cameras: frozenset[str] = frozenset()
        self.new_scene()

    @property
    def objects(self) -> tuple[str, ...]:
        """Return what the scene says that lies on the table."""
        return tuple(thing.description for thing in self._environment.scene.objects)

    def status(self) -> ControllerStatus:
        """Return what the controller says of itself now."""
        with self._lock:
            return controller_status(
                self._controller,
                self._now_s,
                inputs=self._cameras,
                values=self._values,
                decision=self._decision,
                action_names=self._environment.settings.action_names,
                followed=self._followed,
            )

    def pictures(self) -> Mapping[str, UInt8[np.ndarray, "height width 3"]]:
        """Return the last picture of every camera."""
        with self._lock:
            return MappingProxyType(dict(self._environment.observation().images))

    def expected_value(self, instruction: str) -> float:
        """Return the value that the policy sees in an instruction now; NaN without anybody to ask.

        Raises:
            QsftError: the policy does not understand it.
        """
        if self._foresee is None:
            return float("nan")
        with self._lock:
            observation = self._environment.observation()
        self._foresee.reset(instruction, seed=0)
        return self._foresee.act(observation).value

    def instruct(self, instruction: str) -> None:
        """Give the controller an instruction.

        Raises:
            QsftError: the policy does not understand it.
        """
        with self._lock:
            self._policy.reset(instruction, seed=policy_seed(EVALUATION, self._task, self._scene))
            self._controller.set_instruction(instruction, self._now_s)
            self._values, self._decision, self._followed = [], None, ""
            self._wanted = self._judge(instruction)

    def hold(self, reason: str) -> None:
        """Make the arm hold at once."""
        with self._lock:
            self._controller.hold(reason)

    def resume(self) -> None:
        """Leave the hold. Raises CommandRefused: something forbids it."""
        with self._lock:
            self._controller.resume(self._now_s)

    def emergency_stop(self, reason: str) -> None:
        """Stop; only a new scene, which is a new robot here, clears it."""
        self._controller.emergency_stop(reason)

    def new_scene(self) -> None:
        """Set the next scene and activate the controller there."""
        with self._lock:
            self._scene += 1
            if self._controller.fault is not None and self._controller.state.value == "stopped":
                self._controller.clear_stop()
            self._controller.deactivate()
            while self._tick() is not None:
                pass
            seed = scene_seed(EVALUATION, self._task, self._scene)
            self._environment.reset(seed=seed, options={"task": self._task})
            if isinstance(self._policy, PrivilegedPolicy):
                self._policy.watch(self._environment)
            self._values, self._decision, self._followed, self._wanted = [], None, "", None
            self._sense()
            self._controller.activate(self._now_s)

    def step(self) -> Command | None:
        """Let one control period pass: sense, think where it is time to, command; return the command."""
        with self._lock:
            self._sense()
            request = self._controller.request_decision(self._now_s)
            observation = self._environment.observation()
        if request is not None:
            self._think(request, observation)
        with self._lock:
            command = self._tick()
            world = self._environment.world
            target = measured_tool(world, self._action_dim) if command is None else command.target
            action = np.zeros(self._action_dim) if command is None else action_towards(target, world, self._action_dim)
            action[-1] = target[-1]
            self._environment.step(action)
            if self._wanted is not None and self._wanted(world.table_state()):
                self._note_followed()
            return command

    def drive(self, over: Event) -> None:
        """Let time pass as fast as on the wall until `over` is set; the controller's time counts control periods.

        Where the simulator fails the robot is stopped and says so: whoever talks with it must not wait for nothing.
        """
        begin_s, periods = time.monotonic(), 0
        while not over.is_set():
            try:
                self.step()
            except Exception as error:
                self.emergency_stop(f"The simulator has failed: {str(error) or type(error).__name__}.")
                raise
            periods += 1
            ahead_s = begin_s + periods * PERIOD_S - time.monotonic()
            if ahead_s < -1.0:  # a machine that cannot keep up shows slow motion, and never hurries afterwards
                begin_s, periods = time.monotonic(), 0
            over.wait(max(ahead_s, 0.0))

    def _think(self, request: DecisionRequest, observation: Observation) -> None:
        try:
            decision = self._policy.act(observation)
        except QsftError as error:
            with self._lock:
                self._controller.receive_failure(request, error)
            return
        with self._lock:
            if self._controller.receive_decision(request, decision, self._now_s):
                self._values = [*self._values, decision.value][-KEPT_VALUES:]
                self._decision = decision

    def _tick(self) -> Command | None:
        self._now_s += PERIOD_S
        return self._controller.tick(self._now_s)

    def _sense(self) -> None:
        position = measured_tool(self._environment.world, self._action_dim)
        self._controller.receive_measurement(position, self._now_s, stamp_s=self._now_s)
        for name, picture in self._environment.observation().images.items():
            if name not in self.silent_cameras:
                self._controller.receive_picture(name, picture, self._now_s, stamp_s=self._now_s)

    def _note_followed(self) -> None:
        instruction = self._controller.instruction
        self._followed = "" if instruction is None else instruction.text
        self._wanted = None
        self._controller.clear_instruction()

    def _judge(self, instruction: str) -> Callable[[TableState], bool] | None:
        """Return whether a state fulfils an instruction, counted from where things lie now; None: nobody can tell."""
        state = self._environment.world.table_state()
        begin_m = np.column_stack([state.object_position_m[:, :2], state.object_start_m[:, 2]])
        objects = self.objects
        for task in TASKS.values():
            for numbers in permutations(range(len(objects)), min(2, len(objects))):
                target, reference = numbers[0], numbers[-1]
                text = task.template.format(target=objects[target], reference=objects[reference])
                if text == instruction:
                    return lambda now, task=task, target=target, reference=reference: task.followed(
                        replace(now, object_start_m=begin_m), target, reference
                    )
        return None
