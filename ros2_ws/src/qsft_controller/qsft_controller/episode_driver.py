"""Runs episodes of the simulated robot as an operator would: deactivate, set the scene, activate, instruct.

    python -m qsft_controller.episode_driver TASK SCENES FIRST N     one line of JSON per episode

A controller that only holds would command the arm of the new scene to the posture it held in the old one.

Success is what the simulator says. An episode has as many decisions as an evaluation without ROS has control steps, and
as much time as they take. A controller that holds for a fault ends its episode as a failure, with the reason.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from qsft_interfaces.action import ExecuteInstruction
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.action.client import ActionClient
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from qsft_controller import qos
from vlm_qsft.errors import CommandRefused

LOOK_AGAIN_S = 0.2
MOST_DECISIONS = 40
READY = (State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE)
MEASURED_AGAIN = 5
"""Joint states of the new scene before the controller is activated: by then it has heard one too."""


@dataclass(frozen=True)
class DrivenEpisode:
    """One episode over ROS.

    Attributes:
        task: its name.
        episode: number of the scene in the set that the simulator was told.
        instruction: what the controller was told.
        success: the instruction was followed, by the simulator's true state.
        wrong_object: another object than the target was moved.
        steps: decisions of the policy.
        duration_s: simulated time; None where the decisions, a fault or a cancel ended it before the simulator did.
        reason: why the controller's goal ended.
    """

    task: str
    episode: int
    instruction: str
    success: bool
    wrong_object: bool
    steps: int
    duration_s: float | None
    reason: str


class EpisodeDriver(Node):
    """Client of `sim_robot_node` and `controller_node`."""

    def __init__(self, *, patience_s: float = 300.0) -> None:
        """Look for both nodes.

        Args:
            patience_s: longest wait for any single answer, real seconds; a busy machine is slow.
        """
        super().__init__("episode_driver")
        self._patience_s = patience_s
        self._outcome: dict[str, Any] = {}
        self.create_subscription(String, "/sim_robot/outcome", self._note_outcome, qos.LATCHED)
        self._scene = self.create_client(SetParameters, "/sim_robot/set_parameters")
        self._reset = self.create_client(Trigger, "/sim_robot/reset")
        self._state = self.create_client(GetState, "/controller/get_state")
        self._resume = self.create_client(Trigger, "/controller/resume")
        self._change = self.create_client(ChangeState, "/controller/change_state")
        self._n_measured = 0
        self.create_subscription(JointState, "/joint_states", self._note_measured, qos.SENSOR)
        self._n_decisions = 0
        self._goals = ActionClient(self, ExecuteInstruction, "/controller/execute_instruction")

    def drive(self, task: str, episode: int, *, scenes: str = "evaluation") -> DrivenEpisode:
        """Return what became of one episode.

        Raises:
            CommandRefused: a node does not answer, or refuses; says which and why.
        """
        # Before the scene is set: its time runs.
        self._until(lambda: self._state_id() in READY, "the controller to be configured")
        if self._state_id() == State.PRIMARY_STATE_ACTIVE:
            self._change_state(Transition.TRANSITION_DEACTIVATE)
        values = {"task": task, "scenes": scenes, "episode": episode}
        request = SetParameters.Request()
        request.parameters = [_parameter(name, value) for name, value in values.items()]
        for result in self._call(self._scene, request).results:
            if not result.successful:
                raise CommandRefused(f"The simulated robot refuses the scene: {result.reason}")
        self._outcome = {}
        answer = self._call(self._reset, Trigger.Request())
        if not answer.success:
            raise CommandRefused(f"The simulated robot refuses the scene: {answer.message}")
        self._until(lambda: self._outcome.get("outcome") == "running", "the scene to be set up")
        self._n_measured = 0
        self._until(lambda: self._n_measured >= MEASURED_AGAIN, "joint states of the new scene")
        self._change_state(Transition.TRANSITION_ACTIVATE)
        return self._execute(task, episode, answer.message)

    def _execute(self, task: str, episode: int, instruction: str) -> DrivenEpisode:
        if not self._goals.wait_for_server(timeout_sec=self._patience_s):
            raise CommandRefused("The controller offers no action execute_instruction: is it configured?")
        self._n_decisions = 0
        goal = ExecuteInstruction.Goal(instruction=instruction)
        end_s = time.monotonic() + self._patience_s
        while not (handle := self._answer(self._goals.send_goal_async(goal, feedback_callback=self._count))).accepted:
            # Activated, it begins once every input is there; a busy machine may have put it into a hold before.
            if time.monotonic() > end_s:
                raise CommandRefused(f"The controller refuses '{instruction}'; its log says why.")
            again_s = time.monotonic() + LOOK_AGAIN_S
            while time.monotonic() < again_s:
                rclpy.spin_once(self, timeout_sec=LOOK_AGAIN_S)
            self._call(self._resume, Trigger.Request())
        ended = handle.get_result_async()
        self._until(lambda: ended.done() or self._is_over(), "the episode to end")
        if not ended.done() and self._outcome["outcome"] != "success":
            self._answer(handle.cancel_goal_async())
        result = self._answer(ended).result
        if result.success:
            # The simulator says it twice: on the topic that ends the goal, and with the facts of the episode.
            self._until(lambda: self._outcome["outcome"] != "running", "the outcome of a goal that has succeeded")
        facts = self._outcome
        return DrivenEpisode(
            task,
            episode,
            instruction,
            facts["outcome"] == "success",
            bool(facts["wrong_object"]),
            int(result.steps),
            None if facts["outcome"] == "running" else float(facts["duration_s"]),
            result.reason,
        )

    def _is_over(self) -> bool:
        return self._outcome["outcome"] != "running" or self._n_decisions > MOST_DECISIONS

    def _count(self, message: Any) -> None:
        self._n_decisions = message.feedback.step

    def _state_id(self) -> int:
        return self._call(self._state, GetState.Request()).current_state.id

    def _change_state(self, transition: int) -> None:
        request = ChangeState.Request()
        request.transition.id = transition
        if not self._call(self._change, request).success:
            raise CommandRefused("The controller does not change its state; its log says why.")

    def _note_measured(self, message: JointState) -> None:
        self._n_measured += 1

    def _note_outcome(self, message: String) -> None:
        self._outcome = json.loads(message.data)

    def _call(self, client: Any, request: Any) -> Any:
        if not client.wait_for_service(timeout_sec=self._patience_s):
            raise CommandRefused(f"Nothing offers the service {client.srv_name}.")
        return self._answer(client.call_async(request))

    def _answer(self, future: Any) -> Any:
        rclpy.spin_until_future_complete(self, future, timeout_sec=self._patience_s)
        if not future.done():
            raise CommandRefused(f"No answer within {self._patience_s:g} s.")
        return future.result()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + self._patience_s
        while not condition():
            if time.monotonic() > end_s:
                raise CommandRefused(f"Waited {self._patience_s:g} s for {what}.")
            rclpy.spin_once(self, timeout_sec=LOOK_AGAIN_S)


def main() -> int:
    """Drive the episodes that the command line names. Returns 2 for what the user can mend."""
    if len(sys.argv) != 5:
        print("usage: episode_driver TASK SCENES FIRST N", file=sys.stderr)
        return 2
    task, scenes, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rclpy.init()
    driver = EpisodeDriver()
    try:
        for episode in range(first, first + count):
            print(json.dumps(asdict(driver.drive(task, episode, scenes=scenes))), flush=True)
    except CommandRefused as problem:
        print(problem, file=sys.stderr)
        return 2
    finally:
        driver.destroy_node()
        rclpy.try_shutdown()
    return 0


def _parameter(name: str, value: str | int) -> ParameterMessage:
    return Parameter(name, value=value).to_parameter_msg()


if __name__ == "__main__":
    sys.exit(main())
