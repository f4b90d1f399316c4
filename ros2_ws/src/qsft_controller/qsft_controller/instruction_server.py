"""The action ~/execute_instruction: one instruction at a time, with feedback, cancel and a reason at its end."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rclpy.action.server import ActionServer, CancelResponse, GoalResponse, ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from qsft_controller.drive import Carried, Drive
from vlm_qsft.control import ControllerState
from vlm_qsft.errors import QsftError

try:  # the interfaces are built from this workspace; without them topics and services still work
    from qsft_interfaces.action import ExecuteInstruction
except ImportError:
    ExecuteInstruction = None


@dataclass
class _Goal:
    handle: ServerGoalHandle
    outcome: Future
    begin_s: float
    time_limit_s: float
    steps: int = 0
    value: float = math.nan


class InstructionServer:
    """Serves goals by giving their instruction to the controller and watching what becomes of it."""

    def __init__(self, node: Node, drive: Drive) -> None:
        """Offer the action. Only where `qsft_interfaces` can be imported: ask `is_available`."""
        assert ExecuteInstruction is not None
        self._node, self._drive = node, drive
        self._goal: _Goal | None = None
        self._server = ActionServer(
            node,
            ExecuteInstruction,
            "~/execute_instruction",
            execute_callback=self._execute,
            goal_callback=self._accept,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    @staticmethod
    def is_available() -> bool:
        """Tell whether the interfaces package is installed."""
        return ExecuteInstruction is not None

    def watch(self, carried: Carried | None) -> None:
        """Publish feedback of a decision and end the goal where something has ended it; called after every tick."""
        goal, controller = self._goal, self._drive.controller
        if goal is None:
            return
        if carried is not None:
            goal.steps += 1
            goal.value = carried.decision.value
            self._publish(goal, carried)
        if goal.handle.is_cancel_requested:
            self.end("canceled", "The goal was cancelled.")
        elif controller.fault is not None:
            self.end("aborted", str(controller.fault))
        elif controller.state is not ControllerState.ACTIVE:
            self.end("aborted", f"The controller is {controller.state.value}.")

    def end(self, outcome: str, reason: str) -> None:
        """End the goal under way, if there is one, and take its instruction away.

        Args:
            outcome: "succeeded", "aborted" or "canceled".
            reason: one sentence.
        """
        goal, self._goal = self._goal, None
        if goal is not None:
            self._drive.controller.clear_instruction()
            goal.outcome.set_result((outcome, reason))

    def close(self) -> None:
        """End the goal under way and take the action away."""
        self.end("aborted", "The controller was shut down.")
        self._server.destroy()

    def _accept(self, request) -> GoalResponse:
        controller = self._drive.controller
        if controller.state is ControllerState.ACTIVE and request.instruction.strip() and request.time_limit_s >= 0:
            return GoalResponse.ACCEPT
        reason = "an empty instruction" if controller.state is ControllerState.ACTIVE else controller.state.value
        self._node.get_logger().warning(f"Goal '{request.instruction}' refused: {reason}.")
        return GoalResponse.REJECT

    async def _execute(self, handle: ServerGoalHandle):
        self.end("aborted", "A new goal has replaced this one.")
        request = handle.request
        result = ExecuteInstruction.Result()  # pyright: ignore[reportOptionalMemberAccess]
        now_s = self._drive.clock.now_s()
        goal = _Goal(handle, Future(), now_s, request.time_limit_s)
        try:
            limit_s = request.time_limit_s if request.time_limit_s > 0 else None
            self._drive.controller.set_instruction(request.instruction, now_s, time_limit_s=limit_s)
        except QsftError as error:
            handle.abort()
            result.reason = str(error)
            return result
        self._goal = goal
        outcome, reason = await goal.outcome  # pyright: ignore[reportGeneralTypeIssues] (its type allows None)
        {"succeeded": handle.succeed, "aborted": handle.abort, "canceled": handle.canceled}[outcome]()
        result.success, result.reason = outcome == "succeeded", reason
        result.steps, result.final_value = goal.steps, goal.value
        return result

    def _publish(self, goal: _Goal, carried: Carried) -> None:
        feedback = ExecuteInstruction.Feedback()  # pyright: ignore[reportOptionalMemberAccess]
        feedback.step, feedback.value = goal.steps, goal.value
        feedback.action = [float(number) for number in carried.decision.action[0]]
        if goal.time_limit_s > 0:
            feedback.time_share = min((carried.taken_s - goal.begin_s) / goal.time_limit_s, 1.0)
        goal.handle.publish_feedback(feedback)  # pyright: ignore[reportArgumentType] (wrong in rclpy)
