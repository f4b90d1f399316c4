"""Takes a lifecycle node through `configure` and, when asked to, `activate`; ends with status 1 where it refuses.

It calls the services that `ros2 lifecycle set` calls. Activation is tried again until the first observations are there.
"""

from __future__ import annotations

import sys
import time

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

TRY_AGAIN_S = 0.5


class Activator(Node):
    """Asks one lifecycle node to change its state."""

    def __init__(self) -> None:
        super().__init__("activate_controller")
        text = ParameterDescriptor
        self.declare_parameter("node", "/controller", text(description="The lifecycle node."))
        self.declare_parameter("activate", False, text(description="Activate it too: it commands the arm then."))
        self.declare_parameter("timeout_s", 60.0, text(description="Longest wait for each step, s."))
        name = self.get_parameter("node").value
        self._change = self.create_client(ChangeState, f"{name}/change_state")
        self._state = self.create_client(GetState, f"{name}/get_state")

    def take(self) -> bool:
        """Return whether the node stands where it should."""
        if not self._reach(Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE):
            return False
        if not self.get_parameter("activate").value:
            self.get_logger().info("Configured. To let it command the arm: ros2 lifecycle set /controller activate")
            return True
        return self._reach(Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)

    def _reach(self, transition: int, wanted: int) -> bool:
        end_s = time.monotonic() + float(self.get_parameter("timeout_s").value)
        while time.monotonic() < end_s:
            if not self._change.wait_for_service(timeout_sec=TRY_AGAIN_S):
                continue
            state = self._call(self._state, GetState.Request())
            if state is not None and state.current_state.id in (wanted, State.PRIMARY_STATE_ACTIVE):
                return True
            request = ChangeState.Request()
            request.transition.id = transition
            answer = self._call(self._change, request)
            if answer is not None and answer.success:
                return True
            if transition == Transition.TRANSITION_CONFIGURE and answer is not None:
                self.get_logger().error("The controller refused its configuration; its own log says why.")
                return False
            time.sleep(TRY_AGAIN_S)
        self.get_logger().error("The controller did not get there in time; its own log says why.")
        return False

    def _call(self, client, request):
        future = client.call_async(request)
        rclpy.spin_until_future_complete(self, future, timeout_sec=float(self.get_parameter("timeout_s").value))
        return future.result() if future.done() else None


def main() -> int:
    """Configure, activate, end."""
    rclpy.init()
    node = Activator()
    try:
        return 0 if node.take() else 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
