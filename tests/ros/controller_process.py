"""The controller node as a process of its own: its lifecycle and what its diagnostics say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node
from running_node import FOLDER, PATIENCE_S, RunningNode


class ControllerProcess(RunningNode):
    """Starts, asks and ends `python -m qsft_controller.controller_node`."""

    def __init__(
        self,
        node: Node,
        changed: threading.Condition,
        log: Path,
        *arguments: str,
        parameters: Path = FOLDER / "slide_robot.yaml",
    ) -> None:
        """Start the process; see `RunningNode`.

        Args:
            node: of the test.
            changed: notified whenever something arrives.
            log: what the process prints.
            arguments: after those of the robot.
            parameters: file of the robot's parameters.
        """
        self.diagnostics: list[DiagnosticArray] = []
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        words = ("--params-file", str(parameters), *arguments)
        super().__init__(node, changed, log, *words, module="controller_node", name="controller")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._changed:
            self.diagnostics.append(message)
            self._changed.notify_all()

    @property
    def last(self) -> dict[str, str]:
        """The newest values that diagnostics say of controller, inputs and timing."""
        values: dict[str, str] = {}
        if self.diagnostics:
            for status in self.diagnostics[-1].status:
                values |= {pair.key: pair.value for pair in status.values}
                values[f"{status.name.split(': ')[1]} level"] = str(int.from_bytes(status.level, "little"))
        return values

    @property
    def state_text(self) -> str:
        return str(self.last)

    def wait_for(self, **expected: str) -> dict[str, str]:
        """Wait until diagnostics say these values; return all of them."""
        return self.wait_until(lambda said: expected.items() <= said.items(), str(expected))

    def wait_until(self, is_said: Callable[[dict[str, str]], bool], what: str) -> dict[str, str]:
        """Wait until diagnostics say something; return all of them."""
        self.wait(lambda: is_said(self.last), what)
        return self.last

    def change_state(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, "change_state", request).success  # type: ignore[attr-defined]

    def try_state(self, transition: int) -> None:
        """Ask for a transition that is not possible; on Jazzy no answer comes, on Kilted a refusal."""
        client = self._node.create_client(ChangeState, "/controller/change_state")
        assert client.wait_for_service(timeout_sec=PATIENCE_S)
        client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        self.wait(lambda: "No transition matching" in self.log, "the refusal")

    def state(self) -> str:
        return self.call(GetState, "get_state", GetState.Request()).current_state.label  # type: ignore[attr-defined]

    def drive(self, instruction: str = "") -> None:
        """Configure, activate, wait until every input is there, and give an instruction by parameter."""
        assert self.change_state(Transition.TRANSITION_CONFIGURE), self.log
        assert self.change_state(Transition.TRANSITION_ACTIVATE), self.log
        self.wait_for(state="active")
        if instruction:
            assert self.set_parameter("instruction", instruction)
