"""A configured robot with its policy: everything that lives between configure and cleanup."""

from __future__ import annotations

import math
import time
import traceback
from dataclasses import dataclass

from rclpy.node import Node

from qsft_controller.command_output import CommandOutput
from qsft_controller.controller_parameters import control_settings, policy_server, robot_settings
from qsft_controller.diagnostics import Health
from qsft_controller.image_messages import CameraPicture
from qsft_controller.parameters import flag, integer, text
from qsft_controller.policy_source import load_policy
from qsft_controller.policy_thread import Answer, PolicyThread
from qsft_controller.robot_inputs import RobotInputs
from qsft_controller.stamps import ControlClock
from vlm_qsft.control import MEASUREMENT, Command, ControllerState, DecisionRequest, Fault, FaultKind
from vlm_qsft.control.robot import POSE, fit_robot
from vlm_qsft.control.synchronizer import Match
from vlm_qsft.control.tick_times import TickTimes
from vlm_qsft.errors import CommandRefused, QsftError
from vlm_qsft.types import Decision, Observation


@dataclass(frozen=True)
class Carried:
    """A decision that the controller has taken.

    Attributes:
        decision: what the policy decided.
        instruction: that it follows.
        picture: of the first camera it saw; None where it saw none.
        observation_s: stamp of its observation, seconds on the control clock.
        taken_s: when the controller took it.
    """

    decision: Decision
    instruction: str
    picture: CameraPicture | None
    observation_s: float
    taken_s: float


class Drive:
    """Ticks the controller: gives it what arrived, asks the policy, sends the commands."""

    def __init__(self, node: Node) -> None:
        """Load the policy, fit the robot to it, and begin to listen.

        Raises:
            QsftError: the policy cannot be loaded, or does not fit the robot; says why.
        """
        self._node = node
        self.clock = ControlClock(node)
        policy = load_policy(
            checkpoint=text(node, "checkpoint"),
            policy=text(node, "policy"),
            device=text(node, "device"),
            explain=flag(node, "explain"),
            server=policy_server(node),
        )
        self.robot = fit_robot(robot_settings(node), policy.interface, control_settings(node, policy.interface.step_s))
        self.controller = self.robot.controller
        period_s = self.controller.settings.period_s
        self._output = CommandOutput(node, self.controller.limits, self.clock, period_s=period_s)
        seed = integer(node, "seed")
        self._thread = PolicyThread(policy, seed=seed if seed >= 0 else None)
        self._inputs = RobotInputs(node, self.robot, self.clock)
        self._ticks = TickTimes(period_s)
        self._request: DecisionRequest | None = None
        self._asked: tuple[Match, str] | None = None
        self._last: Carried | None = None
        self._decision_s = math.nan
        self._waits_for_start = False
        self._refusal = ""
        self._followed = ""
        self._sends = False

    def activate(self) -> None:
        """Begin to command as soon as every input is there and the arm stands inside its limits.

        A stopped controller is not waited for: it begins by `resume`.
        """
        self._waits_for_start = self.controller.state is ControllerState.INACTIVE
        self._try_to_start(self.clock.now_s())

    def resume(self) -> None:
        """Leave a hold, or begin again after a stop that was cleared. Raises CommandRefused: not ready."""
        if self.controller.state is ControllerState.INACTIVE:
            self.controller.activate(self.clock.now_s())
            self._waits_for_start = False
        else:
            self.controller.resume(self.clock.now_s())

    def deactivate(self) -> None:
        """Brake, then send nothing more."""
        self._waits_for_start = False
        self.controller.deactivate()

    def stop(self, reason: str) -> None:
        """Stop now, and stay stopped until `Controller.clear_stop` and `resume`."""
        self._waits_for_start = False
        self.controller.emergency_stop(reason)
        self.send_now()

    def succeed(self) -> None:
        """Take the instruction under way as followed."""
        if self.controller.instruction is not None:
            self._followed = self.controller.instruction.text
        self.controller.clear_instruction()

    @property
    def is_at_rest(self) -> bool:
        """Tell whether nothing is being sent any more."""
        return self.controller.state is ControllerState.INACTIVE and not self._sends

    def tick(self) -> Carried | None:
        """Let one control period pass; return the decision that was taken in it, if any."""
        begin_s, now_s = time.monotonic(), self.clock.now_s()
        if self._waits_for_start:
            self._try_to_start(now_s)
        if self.controller.instruction is not None:
            self._followed = ""
        carried = self._take_answer(now_s)
        self._ask(now_s)
        command = self.controller.tick(now_s)
        self._sends = command is not None
        if command is not None:
            self._output.send(command)
        self._ticks.note(begin_s, time.monotonic())
        return carried

    def send_now(self) -> None:
        """Send a command at once: a stop does not wait for the next tick."""
        command: Command | None = self.controller.tick(self.clock.now_s())
        if command is not None:
            self._output.send(command)

    def health(self) -> Health:
        """Return what diagnostics say."""
        controller, now_s = self.controller, self.clock.now_s()
        names = [MEASUREMENT, *(camera.name for camera in self.robot.settings.cameras)]
        if self.robot.settings.needs_pose:
            names.append(POSE)
        return Health(
            state=controller.state,
            reason=self._reason(),
            fault=controller.fault,
            instruction="" if controller.instruction is None else controller.instruction.text,
            value=math.nan if self._last is None else self._last.decision.value,
            input_ages_s={name: controller.input_age_s(name, now_s) for name in names},
            ticks=self._ticks.statistics(),
            decision_s=self._decision_s,
            latency_s=math.nan if self._last is None else self._last.decision.latency_s,
            min_value=controller.settings.min_value,
            followed=self._followed,
        )

    def close(self) -> None:
        """Free the policy and take all topics away."""
        self._inputs.close()
        self._output.close()
        self._thread.close()

    def _reason(self) -> str:
        since_s = self._ticks.since_last_s(time.monotonic())
        if self.clock.is_simulated and since_s > self.controller.settings.max_tick_gap_s:
            return f"The simulated clock stands still: no control tick for {since_s:.1f} s."
        if self.controller.fault is not None:
            return str(self.controller.fault)
        if self._waits_for_start:
            missing = self._inputs.missing_joints
            return self._refusal + (f" Joints that never came: {', '.join(missing)}." if missing else "")
        return ""

    def _try_to_start(self, now_s: float) -> None:
        if self.controller.state is not ControllerState.INACTIVE:
            return
        try:
            self.controller.activate(now_s)
        except CommandRefused as error:
            self._refusal = str(error)
        else:
            self._waits_for_start, self._refusal = False, ""

    def _ask(self, now_s: float) -> None:
        controller = self.controller
        if self._request is None:
            self._request = controller.request_decision(now_s)
        instruction = controller.instruction
        if self._request is None or instruction is None or self._thread.is_busy:
            self._request = self._request if instruction is not None else None
            return
        match = self._inputs.match(self._request.requested_s)
        if match is None:
            return
        _, position = match.values[MEASUREMENT]
        request = controller.note_observation(self._request, match.stamp_s, position)
        self._request = None
        if request is not None:
            self._asked = (match, instruction.text)
            self._thread.ask(request, instruction, lambda: self._observe(match, request), match.stamp_s)

    def _observe(self, match: Match, request: DecisionRequest) -> Observation:
        """Return what the policy sees; called in its thread. Raises QsftError: a picture or state that cannot be."""
        reading, position = match.values[MEASUREMENT]
        state = self.robot.state_reader.read(reading, measured=position, goal=request.goal, pose=match.values.get(POSE))
        pictures = {camera: match.values[camera].rgb() for camera in self.robot.interface.cameras}
        return Observation(pictures, state, match.stamp_s)

    def _take_answer(self, now_s: float) -> Carried | None:
        answer = self._thread.take()
        if answer is None or self._asked is None:
            return None
        match, instruction = self._asked
        self._decision_s = now_s - answer.request.requested_s
        if answer.decision is None:
            self._take_error(answer)
            return None
        if not self.controller.receive_decision(answer.request, answer.decision, now_s):
            return None
        cameras = self.robot.interface.cameras
        picture = match.values[cameras[0]] if cameras else None
        self._last = Carried(answer.decision, instruction, picture, answer.observation_s, now_s)
        return self._last

    def _take_error(self, answer: Answer) -> None:
        error = answer.error
        if isinstance(error, QsftError):
            self.controller.receive_failure(answer.request, error)
            return
        # A defect, not a fact about the robot: the arm holds like for any other reason, and the log has the traceback.
        self._node.get_logger().error("".join(traceback.format_exception(error)))
        text = f"The policy failed with {type(error).__name__}: {error}"
        self.controller.receive_fault(Fault(FaultKind.POLICY_ERROR, text))
