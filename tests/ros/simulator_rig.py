"""The simulated robot and a controller with a scripted policy, each in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rclpy
from controller_process import ControllerProcess
from lifecycle_msgs.msg import Transition
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from running_node import RunningNode
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from qsft_controller.stamps import seconds

CONFIG = Path(__file__).resolve().parents[2] / "ros2_ws/src/qsft_bringup/config"
FASTEST_AT_REST = 1e-9
MAX_AGE_S = 1.0


class SimulatorRig:
    """Both processes, and a node that hears what the arm is told and where it is."""

    def __init__(self, folder: Path) -> None:
        self.changed = threading.Condition()
        self.node: Node = rclpy.create_node("observer")
        self.commands: list[JointTrajectory] = []
        self.positions: list[float] = []
        self.node.create_subscription(JointTrajectory, "/joint_trajectory", self._note_command, 10)
        self.node.create_subscription(JointState, "/joint_states", self._note_joints, qos_profile_sensor_data)
        self.now_s = 0.0  # of the simulation
        self.node.create_subscription(Clock, "/clock", self._note_time, qos_profile_sensor_data)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        words = ["--params-file", str(CONFIG / "simulator.sim_robot.yaml"), "-p", "wait_for_commands:=true"]
        words += ["-p", "fault_delay_s:=3.0", "-p", "time_limit_s:=100000.0"]
        self.robot = RunningNode(
            self.node, self.changed, folder / "robot.log", *words, module="sim_robot_node", name="sim_robot"
        )
        parameters = CONFIG / "simulator.yaml"
        words = ["-p", "policy:=sway_policy:SwayPolicy", "-p", "use_sim_time:=true", "-p", "max_tick_gap_s:=5.0"]
        # Until the first command the simulator's time does not wait for a controller that a busy machine starves.
        words += ["-p", f"measurement_max_age_s:={MAX_AGE_S}"]
        words += [word for name in ("front", "wrist") for word in ("-p", f"camera.{name}.max_age_s:={MAX_AGE_S}")]
        self.controller = ControllerProcess(
            self.node, self.changed, folder / "controller.log", *words, parameters=parameters
        )

    def _note_command(self, message: JointTrajectory) -> None:
        with self.changed:
            self.commands.append(message)
            self.changed.notify_all()

    def _note_joints(self, message: JointState) -> None:
        with self.changed:
            self.positions = list(message.position)
            self.changed.notify_all()

    def _note_time(self, message: Clock) -> None:
        with self.changed:
            self.now_s = seconds(message.clock)
            self.changed.notify_all()

    def fail(self, sensor: str, fault: str) -> float:
        """Let a sensor fail and return when it has failed, seconds of the simulation."""
        assert self.robot.set_parameter(f"fault.{sensor}", fault)
        before_s = self.now_s
        self.controller.wait(lambda: self.now_s > before_s, "the time at which the sensor has failed")
        return self.now_s

    def held_s(self, begin: int) -> float:
        """Return when the controller held for the first time since its diagnostics number `begin`."""
        for message in self.controller.diagnostics[begin:]:
            if any(pair.key == "state" and pair.value == "holding" for each in message.status for pair in each.values):
                return seconds(message.header.stamp)
        raise AssertionError("no diagnostics say that the controller holds")

    def drive(self) -> None:
        """Configure and activate; where the machine was too busy for that, resume as an operator would."""
        controller = self.controller
        assert controller.change_state(Transition.TRANSITION_CONFIGURE), controller.log
        assert controller.change_state(Transition.TRANSITION_ACTIVATE), controller.log
        controller.wait(lambda: controller.last.get("state") in ("active", "holding"), "the first measurement")
        if controller.last["state"] == "holding":
            controller.wait(lambda: controller.trigger("resume").success, "resume")
        controller.wait_for(state="active")

    def wait_for_motion(self) -> None:
        """Wait until a command that comes from now on moves a joint."""
        count = len(self.commands)
        self.controller.wait(lambda: any(speed(each) > 0.05 for each in self.commands[count:]), "motion")

    def wait_for_rest(self) -> None:
        """Wait until the newest command is at rest, and the arm where it says."""
        self.controller.wait(lambda: self.commands and speed(self.commands[-1]) < FASTEST_AT_REST, "rest")

    def close(self) -> None:
        self.controller.close()
        self.robot.close()
        self._executor.shutdown(timeout_sec=5)
        self._thread.join(timeout=5)
        self.node.destroy_node()


def speed(command: JointTrajectory) -> float:
    """Return the largest speed in the first point of a command, rad/s."""
    return max(abs(velocity) for velocity in next(iter(command.points)).velocities)


@contextmanager
def simulator_rig(folder: Path) -> Iterator[SimulatorRig]:
    rig = SimulatorRig(folder)
    try:
        yield rig
    finally:
        rig.close()
