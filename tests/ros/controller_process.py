"""The controller node as a process of its own, and the calls that standard tools make to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

FOLDER = Path(__file__).resolve().parent
PATIENCE_S = 200
"""Longer than anything takes on a machine that does ten other things; a wait that ends here has failed."""


class ControllerProcess:
    """Starts, asks and ends `python -m qsft_controller.controller_node`."""

    def __init__(self, node: Node, changed: threading.Condition, log: Path, *arguments: str) -> None:
        """Start the process.

        Args:
            node: of the test, spun by another thread; makes the calls.
            changed: notified whenever something arrives.
            log: what the process prints.
            arguments: after --ros-args and the robot's parameters.
        """
        self._node, self._changed, self._log = node, changed, log
        self._arguments = ["--ros-args", "--params-file", str(FOLDER / "slide_robot.yaml"), *arguments]
        self._clients: dict[str, object] = {}
        self.diagnostics: list[DiagnosticArray] = []
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        self._file: IO[bytes] = log.open("ab")
        self.start()

    def start(self) -> None:
        self._was_ended = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qsft_controller.controller_node", *self._arguments],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": f"{FOLDER}{os.pathsep}{os.environ['PYTHONPATH']}", "PYTHONUNBUFFERED": "1"},
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._changed:
            self.diagnostics.append(message)
            self._changed.notify_all()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait(self, condition, what: str) -> None:
        """Wait until a condition holds; everything that arrives is a reason to look again."""
        until_s = time.monotonic() + PATIENCE_S
        with self._changed:
            while not condition():
                assert self._was_ended or self.process.poll() is None, (
                    f"the process has died before {what}.\n{self.log}"
                )
                left_s = until_s - time.monotonic()
                assert left_s > 0, f"{what} did not come.\n{self.last}\n{self.log}"
                self._changed.wait(min(left_s, 1.0))

    @property
    def last(self) -> dict[str, str]:
        """The newest values that diagnostics say of controller, inputs and timing."""
        values: dict[str, str] = {}
        if self.diagnostics:
            for status in self.diagnostics[-1].status:
                values |= {pair.key: pair.value for pair in status.values}
                values[f"{status.name.split(': ')[1]} level"] = str(int.from_bytes(status.level, "little"))
        return values

    def wait_for(self, **expected: str) -> dict[str, str]:
        """Wait until diagnostics say these values; return all of them."""
        self.wait(lambda: expected.items() <= self.last.items(), str(expected))
        return self.last

    def call(self, kind: type, name: str, request) -> object:
        """Call a service of the node and return its response."""
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, f"/controller/{name}")
        client = self._clients[name]
        assert client.wait_for_service(timeout_sec=PATIENCE_S), f"no service {name}\n{self.log}"  # type: ignore
        future = client.call_async(request)  # type: ignore[attr-defined]
        future.add_done_callback(lambda _: self._notify())
        self.wait(future.done, f"the answer of {name}")
        return future.result()

    def wait_until_it_answers(self) -> None:
        """Ask until an answer comes: a killed process is believed alive for seconds, and what it is asked is lost."""
        client = self._node.create_client(GetState, "/controller/get_state")
        answered: list[object] = []

        def ask_again() -> bool:
            client.call_async(GetState.Request()).add_done_callback(lambda future: answered.append(future.result()))
            return bool(answered)

        self.wait(ask_again, "an answer of the restarted node")
        self._node.destroy_client(client)

    def say(self, publisher: Publisher, message: Bool | String) -> None:
        """Publish once the controller listens."""
        self.wait(lambda: publisher.get_subscription_count() > 0, f"a listener of {publisher.topic_name}")
        publisher.publish(message)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def trigger(self, name: str) -> Trigger.Response:
        return self.call(Trigger, name, Trigger.Request())  # type: ignore[return-value]

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

    def set_parameter(self, name: str, value: str | float) -> bool:
        if isinstance(value, str):
            typed = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
        else:
            typed = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
        request = SetParameters.Request(parameters=[Parameter(name=name, value=typed)])
        response: SetParameters.Response = self.call(SetParameters, "set_parameters", request)  # type: ignore
        return next(iter(response.results)).successful

    def parameter_names(self) -> list[str]:
        response = self.call(ListParameters, "list_parameters", ListParameters.Request())
        return list(response.result.names)  # type: ignore[attr-defined]

    def describe(self, names: list[str]):
        request = DescribeParameters.Request(names=names)
        return self.call(DescribeParameters, "describe_parameters", request).descriptors  # type: ignore[attr-defined]

    def parameter(self, name: str) -> ParameterValue:
        response: GetParameters.Response = self.call(  # type: ignore[assignment]
            GetParameters, "get_parameters", GetParameters.Request(names=[name])
        )
        return next(iter(response.values))

    def kill(self) -> None:
        self._was_ended = True
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> int:
        """End the process as Ctrl-C does and return its exit status."""
        self._was_ended = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(timeout=PATIENCE_S)
        self._file.close()
        return status
