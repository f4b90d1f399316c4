"""Times of messages, and the control clock that everything else is counted on."""

from __future__ import annotations

import time

from builtin_interfaces.msg import Time
from rclpy.clock import Clock
from rclpy.node import Node

NANOSECONDS = 1_000_000_000


def seconds(stamp: Time) -> float:
    """Return a stamp as seconds."""
    return stamp.sec + stamp.nanosec / NANOSECONDS


def stamp_at(time_s: float) -> Time:
    """Return seconds as a stamp."""
    nanoseconds = round(time_s * NANOSECONDS)
    return Time(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)


class ControlClock:
    """Seconds that never go backwards: this machine's steady clock, or simulated time where `use_sim_time` is set.

    With simulated time an arm is controlled as fast as its simulation runs.
    """

    def __init__(self, node: Node) -> None:
        """Follow the node's choice of time."""
        self._ros_clock: Clock = node.get_clock()
        self.is_simulated = bool(node.get_parameter("use_sim_time").value)

    def now_s(self) -> float:
        """Return the time on the control clock."""
        return self.ros_now_s() if self.is_simulated else time.monotonic()

    def ros_now_s(self) -> float:
        """Return the time in which messages are stamped."""
        return self._ros_clock.now().nanoseconds / NANOSECONDS

    def stamp_s(self, control_s: float) -> float:
        """Return the stamp that belongs to a time on the control clock."""
        return control_s + self.ros_now_s() - self.now_s()
