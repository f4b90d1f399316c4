"""A camera driver as a process of its own, to be killed: publishes "front" at 20 Hz until it ends."""

from __future__ import annotations

import numpy as np
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from slide_arm import PICTURE_PERIOD_S, raw_image

if __name__ == "__main__":
    rclpy.init()
    node = rclpy.create_node("front_camera")
    publisher = node.create_publisher(Image, "/camera/front/image_raw", qos_profile_sensor_data)
    generator = np.random.default_rng(1)

    def publish() -> None:
        picture = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        publisher.publish(raw_image(picture, node.get_clock().now().to_msg()))

    node.create_timer(PICTURE_PERIOD_S, publish)
    rclpy.spin(node)
