"""What the controller tells people: diagnostics, the scores of every decision, and the picture with Q-values."""

from __future__ import annotations

import math

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import Image

from qsft_controller import qos
from qsft_controller.diagnostics import Health, diagnostic_array
from qsft_controller.drive import Carried, Drive
from qsft_controller.image_messages import fill_image
from qsft_controller.score_messages import annotated, fill_scores
from qsft_controller.stamps import stamp_at

try:  # built from this workspace; the node works without it
    from qsft_interfaces.msg import ActionScores
except ImportError:
    ActionScores = None


class Reports:
    """The publishers of one controller node."""

    def __init__(self, node: Node) -> None:
        """Offer `/diagnostics`, `~/annotated_image` and, where the interfaces are built, `~/action_scores`."""
        self._node = node
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENT)
        self._annotated = node.create_publisher(Image, "~/annotated_image", qos.EVENT)
        self._scores = None
        if ActionScores is not None:
            self._scores = node.create_publisher(ActionScores, "~/action_scores", qos.EVENT)

    def publish_decision(self, carried: Carried, drive: Drive) -> None:
        """Publish the scores of a decision and, where somebody looks, its picture."""
        clock, names = drive.clock, drive.robot.interface.action_names
        if self._scores is not None and ActionScores is not None:
            message = ActionScores()
            fill_scores(
                message,
                carried.decision,
                action_names=names,
                instruction=carried.instruction,
                stamp_s=clock.stamp_s(carried.taken_s),
                observation_stamp_s=clock.stamp_s(carried.observation_s),
                observation_age_s=carried.taken_s - carried.observation_s,
            )
            self._scores.publish(message)
        if carried.picture is not None and self._annotated.get_subscription_count() > 0:
            message = Image()
            message.header.stamp = stamp_at(clock.stamp_s(carried.observation_s))
            fill_image(message, annotated(carried.picture.rgb(), carried.decision, names, carried.instruction))
            self._annotated.publish(message)

    def publish_health(self, drive: Drive | None, complaint: str) -> None:
        """Publish how the controller is.

        Args:
            drive: None while it is not configured.
            complaint: why it could not be, or "".
        """
        if drive is None:
            health = Health(None, complaint, None, "", math.nan, {}, None, math.nan, math.nan)
        else:
            health = drive.health()
        stamp_s = self._node.get_clock().now().nanoseconds / 1e9
        name = self._node.get_fully_qualified_name()
        self._diagnostics.publish(diagnostic_array(health, node_name=name, stamp_s=stamp_s))
