"""A node as a process of its own, and the calls that standard tools make to every node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

FOLDER = Path(__file__).resolve().parent
PATIENCE_S = 200
"""Longer than anything takes on a machine that does ten other things; a wait that ends here has failed."""


class RunningNode:
    """Starts, asks and ends `python -m qsft_controller.MODULE`."""

    def __init__(
        self, node: Node, changed: threading.Condition, log: Path, *arguments: str, module: str, name: str
    ) -> None:
        """Start the process.

        Args:
            node: of the test, spun by another thread; makes the calls.
            changed: notified whenever something arrives.
            log: what the process prints.
            arguments: after --ros-args.
            module: of the package qsft_controller.
            name: of the node.
        """
        self._node, self._changed, self._log, self._module, self._name = node, changed, log, module, name
        self._arguments = ["--ros-args", *arguments]
        self._clients: dict[str, object] = {}
        self._file: IO[bytes] = log.open("ab")
        self.start()

    def start(self) -> None:
        self._was_ended = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"qsft_controller.{self._module}", *self._arguments],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": f"{FOLDER}{os.pathsep}{os.environ['PYTHONPATH']}", "PYTHONUNBUFFERED": "1"},
        )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def state_text(self) -> str:
        """What a failed wait says besides the log."""
        return ""

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds; everything that arrives is a reason to look again."""
        until_s = time.monotonic() + PATIENCE_S
        with self._changed:
            while not condition():
                assert self._was_ended or self.process.poll() is None, (
                    f"the process has died before {what}.\n{self.log}"
                )
                left_s = until_s - time.monotonic()
                assert left_s > 0, f"{what} did not come.\n{self.state_text}\n{self.log}"
                self._changed.wait(min(left_s, 1.0))

    def call(self, kind: type, name: str, request) -> object:
        """Call a service of the node and return its response."""
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, f"/{self._name}/{name}")
        client = self._clients[name]
        assert client.wait_for_service(timeout_sec=PATIENCE_S), f"no service {name}\n{self.log}"  # type: ignore
        future = client.call_async(request)  # type: ignore[attr-defined]
        future.add_done_callback(lambda _: self.notify())
        self.wait(future.done, f"the answer of {name}")
        return future.result()

    def say(self, publisher: Publisher, message: Bool | String) -> None:
        """Publish once somebody listens."""
        self.wait(lambda: publisher.get_subscription_count() > 0, f"a listener of {publisher.topic_name}")
        publisher.publish(message)

    def notify(self, *_: object) -> None:
        """Have every wait look again."""
        with self._changed:
            self._changed.notify_all()

    def trigger(self, name: str) -> Trigger.Response:
        return self.call(Trigger, name, Trigger.Request())  # type: ignore[return-value]

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
        # The next process of this name must not be asked through what is left of this one: the question would be lost.
        self.wait(lambda: self._name not in self._node.get_node_names(), "the end of the node in the graph")
        self._file.close()
        return status
