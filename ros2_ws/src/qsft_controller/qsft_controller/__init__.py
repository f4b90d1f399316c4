"""Nodes that translate between ROS 2 and vlm-qsft: cameras and joints to observations, commands to messages."""
