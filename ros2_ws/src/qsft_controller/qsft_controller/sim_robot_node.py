"""The simulated tabletop as a robot: sensors, clock and command topics as those of a ros2_control arm.

With `wait_for_commands` its time stands still when the next command is late: what happens does not depend on how busy
the machine is. A controller that has gone silent is waited for no longer than `PATIENCE_S` of real time.

It is the clock: nodes beside it set `use_sim_time`. The scene is set by the parameters task, scenes, episode and
scene_seed, and by ~/reset; the answer is the instruction. Faults: `ros2 param set /sim_robot fault.front frozen`.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PointStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from qsft_controller import qos
from qsft_controller.node_process import run
from qsft_controller.parameters import declare, flag, integer, number, strings, text
from qsft_controller.sim_robot_messages import (
    compressed_message,
    image_message,
    joint_message,
    trajectory_from,
)
from qsft_controller.sim_robot_parameters import (
    DECLARATIONS,
    JOINT_STATES,
    SCENE_PARAMETERS,
    fault_declarations,
    fault_parameters,
    robot_settings,
    scene_choice,
)
from qsft_controller.stamps import stamp_at
from qsft_sim.sensor_faults import FaultySensor, Reading
from qsft_sim.simulated_robot import JOINT_NAMES, Outcome, Sensed, SimulatedRobot
from vlm_qsft.errors import CommandRefused, QsftError

BASE_FRAME = "base_link"

COMMAND_EVERY_S = 0.1
"""Simulated time without a command after which a robot that waits for commands stands still."""
PATIENCE_S = 20.0
CREEP_S = 1e-6
"""By which the clock moves on at every look while time stands still: far less than a tick of the simulation."""


class SimRobotNode(Node):
    """Advances the robot by one tick per timer and publishes what it senses."""

    def __init__(self) -> None:
        """Build the robot and set the first scene.

        Raises:
            QsftError: a parameter outside its range, no back end for the pictures.
        """
        super().__init__("sim_robot")
        self._opened = ExitStack()  # before anything that can fail: a node that failed is destroyed too
        declare(self, DECLARATIONS)
        declare(self, fault_declarations(strings(self, "cameras")))
        self._robot = SimulatedRobot(robot_settings(self))
        self._opened.callback(self._robot.environment.close)
        cameras = self._robot.settings.environment.cameras
        self._sensors = {name: FaultySensor(name, is_camera=True) for name in cameras}
        self._sensors[JOINT_STATES] = FaultySensor(JOINT_STATES, is_camera=False)
        self._episodes_left = 0
        self._reported = Outcome.NONE
        self._waits = flag(self, "wait_for_commands")
        self._commanded_s: float | None = None
        self._commanded_at = 0.0
        self._n_waited = 0
        self._is_compressed = text(self, "image_transport") == "compressed"
        self._create_topics(cameras)
        self.add_on_set_parameters_callback(self._set_parameters)
        if flag(self, "autostart"):
            self._begin()
        factor = number(self, "real_time_factor")
        # A timer of period 0 fires whenever nothing else is to do: as fast as this machine can.
        self.create_timer(self._robot.tick_s / factor if factor > 0 else 0.0, self._tick)

    def destroy_node(self) -> None:
        """Free the renderer too."""
        self._opened.close()
        super().destroy_node()

    def _create_topics(self, cameras: tuple[str, ...]) -> None:
        self._clock_publisher = self.create_publisher(Clock, "/clock", qos.SENSOR)
        self._joints = self.create_publisher(JointState, "/joint_states", qos.EVENT)
        self._target = self.create_publisher(PointStamped, "/tool_target", qos.EVENT)
        self._action = self.create_publisher(JointState, "/action", qos.EVENT)
        self._episode = self.create_publisher(String, "/episode", qos.EVENT)
        self._success = self.create_publisher(Bool, "/task_success", qos.EVENT)
        self._instruction = self.create_publisher(String, "~/instruction", qos.LATCHED)
        self._outcome = self.create_publisher(String, "~/outcome", qos.LATCHED)
        message_type, ending = (CompressedImage, "/compressed") if self._is_compressed else (Image, "")
        self._cameras = {
            name: self.create_publisher(message_type, f"/camera/{name}/image_raw{ending}", qos.EVENT)
            for name in cameras
        }
        for topic in ("/joint_trajectory", "/gripper_trajectory"):
            self.create_subscription(TrajectoryMessage, topic, self._command, qos.COMMAND)
        self.create_service(Trigger, "~/reset", self._reset)

    def _stands_still(self) -> bool:
        """Tell whether the next command is awaited."""
        if self._commanded_s is None or self._robot.now_s - self._commanded_s < COMMAND_EVERY_S:
            return False
        if time.monotonic() - self._commanded_at > PATIENCE_S:
            self._commanded_s = None
            self.get_logger().warning(f"No command for {PATIENCE_S:g} s: time passes again without.")
            return False
        return True

    def _tick(self) -> None:
        if self._waits and self._stands_still():
            # Again, because a controller that missed this time would wait for it for ever; and a little more, because
            # timers of simulated time look again only when time has changed.
            self._n_waited += 1
            creep_s = min(self._n_waited * CREEP_S, self._robot.tick_s / 2)
            self._clock_publisher.publish(Clock(clock=stamp_at(self._robot.now_s + creep_s)))
            return
        self._n_waited = 0
        sensed = self._robot.advance()
        now = stamp_at(self._robot.now_s)
        self._clock_publisher.publish(Clock(clock=now))
        if sensed is not None:
            self._publish(sensed, now)
        demonstration = self._robot.take_demonstration()
        if demonstration is not None:
            names = self._robot.settings.environment.action_names
            self._action.publish(joint_message(names, demonstration.action, None, stamp_at(demonstration.stamp_s)))
        if self._robot.outcome is not self._reported and self._robot.is_set_up:
            self._report()

    def _publish(self, sensed: Sensed, now: Time) -> None:
        numbers = np.stack([sensed.positions, sensed.velocities])
        for reading in self._sensors[JOINT_STATES].deliver(Reading(sensed.stamp_s, numbers)):
            positions, velocities = reading.content
            self._joints.publish(joint_message(JOINT_NAMES, positions, velocities, stamp_at(reading.stamp_s)))
        target = PointStamped()
        target.header.stamp, target.header.frame_id = now, BASE_FRAME
        target.point.x, target.point.y, target.point.z = (float(number) for number in sensed.tool_target_m)
        self._target.publish(target)
        to_message = compressed_message if self._is_compressed else image_message
        for camera, picture in sensed.pictures.items():
            for reading in self._sensors[camera].deliver(Reading(sensed.stamp_s, picture)):
                stamp = stamp_at(reading.stamp_s)
                self._cameras[camera].publish(to_message(reading.content, stamp, f"camera_{camera}"))

    def _report(self) -> None:
        robot, outcome = self._robot, self._robot.outcome
        self._reported = outcome
        facts = {
            "outcome": outcome.value,
            "instruction": robot.instruction,
            "wrong_object": robot.wrong_object,
            "handled": robot.handled,
            "duration_s": round(robot.episode_s, 3),
            "scene": None if robot.choice is None else vars(robot.choice),
        }
        self._outcome.publish(String(data=json.dumps(facts)))
        if outcome is Outcome.RUNNING:
            return
        self._episode.publish(String(data=outcome.value))
        if outcome is Outcome.SUCCESS:
            self._success.publish(Bool(data=True))
        self.get_logger().info(f"{outcome.value} after {robot.episode_s:.1f} s: {robot.instruction}")
        if self._episodes_left > 0:
            self._episodes_left -= 1
            following = integer(self, "episode") + 1
            self.set_parameters([Parameter("episode", value=following)])
            self._set_scene()

    def _begin(self) -> None:
        self._set_scene()
        self._episodes_left = integer(self, "episodes") - 1

    def _set_scene(self) -> None:
        if self._robot.outcome is Outcome.RUNNING:
            # An episode that a reset cuts off has no outcome.
            self._episode.publish(String(data="stop"))
        self._robot.reset(scene_choice(self))
        self._commanded_s = None
        self._reported = Outcome.NONE
        self._instruction.publish(String(data=self._robot.instruction))
        self._episode.publish(String(data=f"start: {self._robot.instruction}"))

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self._begin()
        except QsftError as problem:
            response.success, response.message = False, str(problem)
            return response
        response.success, response.message = True, self._robot.instruction
        return response

    def _command(self, message: TrajectoryMessage) -> None:
        try:
            self._robot.command(trajectory_from(message))
        except CommandRefused as problem:
            self.get_logger().warning(f"Command refused: {problem}", throttle_duration_sec=1.0)
        else:
            self._commanded_s, self._commanded_at = self._robot.now_s, time.monotonic()

    def _set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Check the scene and the faults before they are taken; faults act at once, the scene at the next reset."""
        try:
            scene_choice(self, {each.name: each.value for each in parameters if each.name in SCENE_PARAMETERS})
            changed = {each.name: each.value for each in parameters}
            delay_s = float(changed.get("fault_delay_s", number(self, "fault_delay_s")))
            for name, sensor in fault_parameters(self._sensors).items():
                if name in changed:
                    sensor.fail(str(changed[name]), delay_s=delay_s)
        except QsftError as problem:
            return SetParametersResult(successful=False, reason=str(problem))
        return SetParametersResult(successful=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the robot; also `python -m qsft_controller.sim_robot_node --ros-args ...`."""
    return run(SimRobotNode, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
