"""Runs a node until it is told to end, and lets it come to rest before the process goes away."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Protocol

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from vlm_qsft.errors import QsftError


class EndingNode(Protocol):
    """A node that has something to do before it goes."""

    def end(self) -> None:
        """Begin to come to rest."""
        ...

    @property
    def has_ended(self) -> bool:
        """Tell whether it has come to rest."""
        ...


def make_executor():
    """Return the cheapest single-threaded executor that this rclpy has."""
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def run(make_node: Callable[[], Node], *, longest_end_s: float = 2.0, arguments: list[str] | None = None) -> int:
    """Run a node until SIGINT, SIGTERM or a shutdown from outside; return the exit status of the process.

    After a signal the node goes on until it `has_ended`, so that an arm in motion is braked. What its user can mend is
    one line on stderr and status 2.

    Args:
        make_node: called after ROS is initialised.
        longest_end_s: the process ends then in any case.
        arguments: of the command line; None for those of the process.
    """
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: signals.append(received))
    try:
        node = make_node()
    except QsftError as problem:
        print(problem, file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    executor = make_executor()
    executor.add_node(node)
    try:
        while rclpy.ok() and not signals:
            _spin_once(executor, node)
        if signals and hasattr(node, "end"):
            _let_end(node, executor, longest_end_s)  # pyright: ignore[reportArgumentType]
    except (ExternalShutdownException, KeyboardInterrupt):
        pass
    except QsftError as problem:
        print(problem, file=sys.stderr)
        return 2
    finally:
        executor.remove_node(node)
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _spin_once(executor, node: Node) -> None:
    """Wait for work and do it. On Jazzy an impossible lifecycle transition raises out of here: it is refused."""
    try:
        executor.spin_once(timeout_sec=0.2)
    except RCLError as error:
        if "Transition is not registered" not in str(error):
            raise
        node.get_logger().error(f"Refused a transition that is not possible from this state. {error}")


def _let_end(node: EndingNode, executor, longest_end_s: float) -> None:
    import time

    node.end()
    until_s = time.monotonic() + longest_end_s
    while not node.has_ended and time.monotonic() < until_s:
        executor.spin_once(timeout_sec=0.02)
