"""A page for the browser that does what `qsft chat` does in a terminal, on this machine alone."""

from vlm_qsft.dialogue.page.robot_view import PageRobot
from vlm_qsft.dialogue.page.server import ChatServer

__all__ = ["ChatServer", "PageRobot"]
