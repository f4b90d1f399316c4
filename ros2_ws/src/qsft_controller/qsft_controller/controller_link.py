"""The controller node as a robot that an operator talks with: topics and services, and nothing that they do not say."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.client import Client
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from qsft_controller import qos
from qsft_controller.score_messages import decision_from
from qsft_controller.status_messages import status_from
from vlm_qsft.control import ControllerState, ControllerStatus
from vlm_qsft.errors import CommandRefused, QsftError
from vlm_qsft.types import Decision

try:  # built from this workspace; without it there are no values to tell
    from qsft_interfaces.msg import ActionScores
except ImportError:
    ActionScores = None

KEPT_VALUES = 500


class ControllerLink:
    """See `vlm_qsft.dialogue.operator.OperatedRobot`.

    Messages arrive in the executor's thread; everything else is called from another one and may wait, up to
    `patience_s`, for what the controller answers.
    """

    def __init__(
        self,
        node: Node,
        controller: str,
        *,
        patience_s: float,
        objects: Callable[[], tuple[str, ...] | None],
        on_status: Callable[[ControllerStatus], None],
    ) -> None:
        """Listen to a controller, whether it is there already or not.

        Args:
            node: of the topics and services.
            controller: full name of the controller's node.
            patience_s: longest wait for an answer of it, s.
            objects: asked for what is known to lie before the robot.
            on_status: called with every status as it arrives, in the executor's thread.
        """
        self._node, self._controller, self._patience_s = node, controller, patience_s
        self._objects, self._on_status = objects, on_status
        self._changed = threading.Condition()
        self._told: ControllerStatus | None = None
        self._told_s = -math.inf
        self._scored = ""
        self._values: tuple[float, ...] = ()
        self._decision: Decision | None = None
        self._action_names: tuple[str, ...] = ()
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENT)
        if ActionScores is not None:
            node.create_subscription(ActionScores, f"{controller}/action_scores", self._on_scores, qos.EVENT)
        self._instructions = node.create_publisher(String, f"{controller}/instruction", qos.EVENT)
        self._hold, self._resume, self._stop = (
            node.create_client(Trigger, f"{controller}/{name}") for name in ("hold", "resume", "emergency_stop")
        )

    @property
    def objects(self) -> tuple[str, ...] | None:
        """Return what is known to lie before the robot."""
        return self._objects()

    def status(self) -> ControllerStatus:
        """Return what the controller said last, with its age; where it has never spoken, a status that says so."""
        with self._changed:
            if self._told is None:
                return ControllerStatus(ControllerState.INACTIVE, complaint=self._nobody, age_s=math.inf)
            is_of_another = bool(self._told.instruction) and self._told.instruction != self._scored
            return replace(
                self._told,
                age_s=time.monotonic() - self._told_s,
                values=() if is_of_another else self._values,
                decision=None if is_of_another else self._decision,
                action_names=self._action_names,
            )

    def expected_value(self, instruction: str) -> float:
        """Return NaN: a controller tells values of decisions only, and to decide it would have to set out."""
        return math.nan

    def instruct(self, instruction: str) -> None:
        """Publish an instruction. Raises CommandRefused: nobody listens, or the controller does not say it has it."""
        if self._instructions.get_subscription_count() == 0:
            raise CommandRefused(self._nobody)
        with self._changed:
            self._scored, self._values, self._decision = instruction, (), None
            self._instructions.publish(String(data=instruction))
            if not self._changed.wait_for(
                lambda: instruction in (self._scored if self._values else "", self._told and self._told.instruction),
                self._patience_s,
            ):
                raise CommandRefused(
                    f"The controller has not said within {self._patience_s:g} s that it took '{instruction}': "
                    "its log has the reason."
                )

    def hold(self, reason: str) -> None:
        """Make the arm hold. Raises CommandRefused: nobody answers, or it is not configured."""
        self._call(self._hold)
        self._await_status(lambda status: not status.is_moving)

    def hold_now(self) -> None:
        """Ask to hold without waiting for the answer; whoever wants to know calls `hold` afterwards."""
        if self._hold.service_is_ready():
            self._hold.call_async(Trigger.Request())

    def resume(self) -> None:
        """Leave the hold. Raises CommandRefused: something forbids it, or nobody answers."""
        self._call(self._resume)
        self._await_status(lambda status: status.state is ControllerState.ACTIVE)

    def emergency_stop(self, reason: str) -> None:
        """Stop until the stop is cleared at the robot. Raises CommandRefused: nobody answers."""
        self._call(self._stop)
        self._await_status(lambda status: not status.is_moving)

    @property
    def _nobody(self) -> str:
        return f"No controller called {self._controller} is heard."

    def _call(self, client: Client) -> None:
        if not client.service_is_ready():
            raise CommandRefused(self._nobody)
        answered = threading.Event()
        future = client.call_async(Trigger.Request())
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(self._patience_s):
            client.remove_pending_request(future)
            raise CommandRefused(f"{client.srv_name} has not answered within {self._patience_s:g} s.")
        response = future.result()
        if response is None or not response.success:
            raise CommandRefused(response.message if response is not None else f"{client.srv_name} has failed.")

    def _await_status(self, wanted: Callable[[ControllerStatus], bool]) -> None:
        """Wait until the controller says what it has just been told to do; its age tells if it does not."""
        with self._changed:
            self._changed.wait_for(lambda: self._told is not None and wanted(self._told), self._patience_s)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        try:
            status = status_from(message, self._controller)
        except QsftError as problem:
            self._node.get_logger().error(f"{self._controller} is of another version. {problem}", once=True)
            return
        if status is None:
            return
        with self._changed:
            self._told, self._told_s = status, time.monotonic()
            self._changed.notify_all()
        self._on_status(self.status())

    def _on_scores(self, message) -> None:
        try:
            decision = decision_from(message)
        except QsftError as problem:
            self._node.get_logger().error(str(problem), once=True)
            return
        with self._changed:
            before = self._values if message.instruction == self._scored else ()
            self._values = (*before, decision.value)[-KEPT_VALUES:]
            self._scored, self._decision = message.instruction, decision
            self._action_names = tuple(message.action_names)
            self._changed.notify_all()
