"""The lifecycle node that lets a policy drive an arm.

    configure   load the policy, check cameras, joints, state and actions against it
    activate    command, from the measured position, as soon as every input is there
    deactivate  brake, then send nothing more
    cleanup     free the policy

Recovery after a hold: ~/resume. After an emergency stop: ~/clear_stop, then ~/resume.
"""

from __future__ import annotations

import sys
import traceback

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from qsft_controller import qos
from qsft_controller.controller_parameters import declare_controller
from qsft_controller.drive import Drive
from qsft_controller.instruction_server import InstructionServer
from qsft_controller.node_process import run
from qsft_controller.parameters import integer, number, text
from qsft_controller.reports import Reports
from qsft_controller.scheduling import be_ordinary, be_punctual
from vlm_qsft.errors import QsftError

DIAGNOSTICS_PERIOD_S = 0.5


class ControllerNode(LifecycleNode):
    """Translates between topics, services and the action on one side, `Drive` on the other."""

    def __init__(self, **options) -> None:
        """Declare the parameters and offer what must work in every state: stops and services."""
        super().__init__("controller", **options)
        declare_controller(self)
        self._drive: Drive | None = None
        self._server: InstructionServer | None = None
        self._stop_before_configure = ""
        self._said: tuple[object, ...] = ()
        self._complaint = ""
        self._first_instruction = ""
        self._is_active = False
        self._control_timers = []
        self._reports = Reports(self)
        self.create_subscription(Bool, "~/emergency_stop", self._on_stop, qos.EVENT)
        self.create_subscription(String, "~/instruction", self._on_instruction, qos.EVENT)
        self.create_subscription(Bool, "task_success", self._on_success, qos.EVENT)
        for name, act in (
            ("emergency_stop", self._stop),
            ("hold", self._hold),
            ("resume", self._resume),
            ("clear_stop", self._clear_stop),
        ):
            self.create_service(Trigger, f"~/{name}", lambda _, response, act=act: self._answer(act, response))
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_health, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.add_on_set_parameters_callback(self._on_parameters)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the policy and fit the robot to it; on refusal say why and stay unconfigured."""
        try:
            self._drive = Drive(self)
            be_punctual(integer(self, "thread_priority"))
        except QsftError as error:
            self._close()
            return self._refuse(str(error))
        except Exception:
            self.get_logger().error(traceback.format_exc())  # rclpy turns it into an error state without a word
            raise
        if self._stop_before_configure:
            self._drive.stop(self._stop_before_configure)
        if InstructionServer.is_available():
            self._server = InstructionServer(self, self._drive)
        clock = self.get_clock() if self._drive.clock.is_simulated else Clock(clock_type=ClockType.STEADY_TIME)
        period_s = self._drive.controller.settings.period_s
        self._control_timers = [self.create_timer(period_s, self._tick, clock=clock)]
        self._complaint = ""
        # Only once: an arm that is activated again does not set out by itself.
        self._first_instruction = text(self, "instruction")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Command as soon as every input is there."""
        assert self._drive is not None
        self._drive.activate()
        self._is_active = True
        instruction, self._first_instruction = self._first_instruction, ""
        if instruction:
            self._instruct(instruction)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Brake; the arm stays where it comes to rest."""
        assert self._drive is not None
        self._is_active = False
        self._end_goal("aborted", "The controller was deactivated.")
        self._drive.deactivate()
        self._drive.send_now()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the policy."""
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Brake; topics and policy go with the process."""
        self._is_active = False
        self.end()
        if self._drive is not None:
            self._drive.send_now()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything; the node can be configured again."""
        self._is_active = False
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def end(self) -> None:
        """Brake before the process ends."""
        if self._drive is not None:
            self._end_goal("aborted", "The controller's process was told to end.")
            self._drive.deactivate()

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing is being sent any more."""
        return self._drive is None or self._drive.is_at_rest

    def _close(self) -> None:
        for timer in self._control_timers:
            self.destroy_timer(timer)
        self._control_timers = []
        if self._server is not None:
            self._server.close()
        if self._drive is not None:
            self._drive.close()
        self._server = self._drive = None
        be_ordinary()

    def _refuse(self, reason: str) -> TransitionCallbackReturn:
        self._complaint = reason
        self.get_logger().error(f"Not configured. {reason}")
        self._publish_health()
        return TransitionCallbackReturn.FAILURE

    def _tick(self) -> None:
        if self._drive is None:
            return  # a tick that was due when the timer was taken away
        carried = self._drive.tick()
        if carried is not None:
            self._reports.publish_decision(carried, self._drive)
        if self._server is not None:
            self._server.watch(carried)
        success_value = number(self, "success_value")
        if carried is not None and 0 < success_value <= carried.decision.value:
            self._succeed(f"The value reached {carried.decision.value:.3f}.")
        controller = self._drive.controller
        said = (controller.state, controller.fault)
        if said != self._said:
            self._said = said
            self.get_logger().info(f"{controller.state.value}" + (f": {controller.fault}" if controller.fault else ""))
            self._publish_health()

    def _publish_health(self) -> None:
        self._reports.publish_health(self._drive, self._complaint)

    def _answer(self, act, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message = act()
            response.success = True
        except QsftError as error:
            response.message, response.success = str(error), False
        return response

    def _configured(self) -> Drive:
        if self._drive is None:
            raise NotConfigured("The controller is not configured.")
        return self._drive

    def _stop(self) -> str:
        reason = "An operator has pressed the emergency stop."
        if self._drive is None:
            self._stop_before_configure = reason
        else:
            self._drive.stop(reason)
        return "Stopped. Call clear_stop, then resume, to go on."

    def _hold(self) -> str:
        drive = self._configured()
        drive.controller.hold("An operator has asked to hold.")
        drive.send_now()
        return f"The controller is {drive.controller.state.value}."

    def _resume(self) -> str:
        if not self._is_active:
            raise NotConfigured("The controller is not active: activate it first.")
        self._configured().resume()
        return "The controller is active."

    def _clear_stop(self) -> str:
        self._stop_before_configure = ""
        if self._drive is not None:
            self._drive.controller.clear_stop()
        return "The stop is cleared. Call resume to go on."

    def _on_stop(self, message: Bool) -> None:
        if message.data:
            self._stop()

    def _on_instruction(self, message: String) -> None:
        self._instruct(message.data)

    def _instruct(self, instruction: str) -> str:
        """Give an instruction that is no goal of the action; return why it is refused, or ""."""
        limit_s = number(self, "instruction_time_limit_s")
        try:
            drive = self._configured()
            self._end_goal("aborted", "A new instruction has replaced this goal.")
            drive.controller.set_instruction(
                instruction, drive.clock.now_s(), time_limit_s=limit_s if limit_s > 0 else None
            )
        except QsftError as error:
            self.get_logger().warning(f"Instruction '{instruction}' refused: {error}")
            return str(error)
        return ""

    def _on_success(self, message: Bool) -> None:
        if message.data:
            self._succeed("The task is reported as done.")

    def _succeed(self, reason: str) -> None:
        if self._drive is not None:
            self._drive.succeed()
            self._end_goal("succeeded", reason)

    def _end_goal(self, outcome: str, reason: str) -> None:
        if self._server is not None:
            self._server.end(outcome, reason)

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == "instruction" and self._drive is not None and parameter.value:
                refusal = self._instruct(str(parameter.value))
                if refusal:
                    return SetParametersResult(successful=False, reason=refusal)
        return SetParametersResult(successful=True)


class NotConfigured(QsftError):
    """A service that needs a configured or active controller was called."""


def main(arguments: list[str] | None = None) -> int:
    """Run the node; also `python -m qsft_controller.controller_node --ros-args ...`."""
    return run(ControllerNode, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
