"""Commands of the controller as the messages that arms understand.

joint_trajectory    trajectory_msgs/JointTrajectory: the next set point, then the way to rest
forward_position    std_msgs/Float64MultiArray: the next set point; what the arm does afterwards is its driver's
twist               geometry_msgs/TwistStamped: the velocity of the tool (MoveIt Servo), zero in a hold at rest
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from qsft_controller.stamps import NANOSECONDS, stamp_at
from vlm_qsft.control import Command
from vlm_qsft.control.kinematics import rotation_from_turn, rotation_vector
from vlm_qsft.control.stopping_way import WayPoint

TWIST_AXES = ("x", "y", "z", "roll", "pitch", "yaw")


def joint_trajectory(way: Sequence[WayPoint], names: Sequence[str], columns: Sequence[int]) -> JointTrajectory:
    """Return a trajectory of some axes, to be begun at once: its stamp is zero.

    Velocities stand in every point and the last is zero, which joint trajectory controllers ask for.

    Args:
        way: from `stopping_way`.
        names: of the joints.
        columns: index of each joint among the axes.
    """
    points = []
    for point in way:
        nanoseconds = round(point.after_s * NANOSECONDS)
        points.append(
            JointTrajectoryPoint(
                positions=[float(point.position[column]) for column in columns],
                velocities=[float(point.velocity[column]) for column in columns],
                time_from_start=Duration(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS),
            )
        )
    return JointTrajectory(joint_names=list(names), points=points)


def forward_position(command: Command, columns: Sequence[int]) -> Float64MultiArray:
    """Return the set points of some axes."""
    return Float64MultiArray(data=[float(command.target[column]) for column in columns])


def twist(command: Command, columns: Sequence[int], *, period_s: float, stamp_s: float, frame_id: str) -> TwistStamped:
    """Return the velocity with which the tool goes to its set point.

    Args:
        command: of axes x, y, z and roll, pitch, yaw.
        columns: index of each of `TWIST_AXES` among the axes; -1 for an axis that is not commanded.
        period_s: the control period.
        stamp_s: ROS time, seconds.
        frame_id: of the axes.
    """
    target, velocity = (
        np.array([0.0 if column < 0 else values[column] for column in columns])
        for values in (command.target, command.velocity)
    )
    before = target - velocity * period_s
    turned = rotation_from_turn(target[3:]) @ rotation_from_turn(before[3:]).T
    angular = rotation_vector(turned) / period_s
    message = TwistStamped()
    message.header.stamp = stamp_at(stamp_s)
    message.header.frame_id = frame_id
    linear = message.twist.linear
    linear.x, linear.y, linear.z = map(float, velocity[:3])
    turning = message.twist.angular
    turning.x, turning.y, turning.z = map(float, angular)
    return message
