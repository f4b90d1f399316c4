"""An operator talks, by topic or service, with the robot that the controller node drives.

    ~/said      (String)    what the operator says
    ~/answer    (String)    what the robot answers, and why it holds when it begins to hold by itself
    ~/say       (Dialogue)  one turn, with the answer in the response

What is understood and answered is decided in `vlm_qsft.dialogue.operator`; nothing here loads a policy.
"""

from __future__ import annotations

import sys
import traceback
from concurrent.futures import Future
from pathlib import Path

from rclpy.node import Node
from rclpy.task import Future as RosFuture
from std_msgs.msg import String

from qsft_controller import qos
from qsft_controller.controller_link import ControllerLink
from qsft_controller.node_process import run
from qsft_controller.parameters import ParameterDeclaration as Declaration
from qsft_controller.parameters import declare, number, strings, text
from vlm_qsft.control import ControllerStatus, Fault, FaultKind
from vlm_qsft.dialogue.operator import DialogueThread, InstructionBook, OperatorDialogue, Reply
from vlm_qsft.dialogue.operator.answers import why
from vlm_qsft.errors import InvalidSetting

try:  # built from this workspace; without it the topics still work
    from qsft_interfaces.srv import Dialogue
except ImportError:
    Dialogue = None

DECLARATIONS = (
    Declaration("controller", "/controller", "Full name of the controller's node."),
    Declaration("checkpoint", "", "Folder of the policy's checkpoint: lists what it was trained to do."),
    Declaration("instructions_file", "", "Instead of a checkpoint: file of trained instructions, one per line."),
    Declaration("objects", [""], "What lies before the robot, such as 'red cube'; empty: not known.", read_only=False),
    Declaration("answer_timeout_s", 2.0, "Longest wait for an answer of the controller, s.", 0.1, 60.0),
)
_BY_OPERATOR = frozenset({FaultKind.OPERATOR, FaultKind.EMERGENCY_STOP})


def book_of(*, checkpoint: str, instructions_file: str) -> InstructionBook:
    """Return what the policy was trained to do.

    Raises:
        InvalidSetting: none or both are named, or no instruction stands there.
        CheckpointError: the checkpoint cannot be read.
    """
    if bool(checkpoint) == bool(instructions_file):
        raise InvalidSetting("The dialogue needs one of the parameters 'checkpoint' and 'instructions_file'.")
    if checkpoint:
        return InstructionBook.of_checkpoint(Path(checkpoint).expanduser())
    return InstructionBook.of_file(Path(instructions_file).expanduser())


class DialogueNode(Node):
    """Translates between texts on topics and in a service, the operator dialogue, and the controller node."""

    def __init__(self) -> None:
        """Begin to listen.

        Raises:
            InvalidSetting, CheckpointError: nothing says what the policy was trained to do.
        """
        super().__init__("dialogue")
        declare(self, DECLARATIONS)
        book = book_of(checkpoint=text(self, "checkpoint"), instructions_file=text(self, "instructions_file"))
        self._fault: Fault | None = None
        self._answers = self.create_publisher(String, "~/answer", qos.EVENT)
        self._robot = ControllerLink(
            self,
            text(self, "controller"),
            patience_s=number(self, "answer_timeout_s"),
            objects=lambda: strings(self, "objects") or None,
            on_status=self._announce,
        )
        self._dialogue = DialogueThread(OperatorDialogue(self._robot, book), self._robot.hold_now)
        self.create_subscription(String, "~/said", self._on_said, qos.EVENT)
        if Dialogue is not None:
            self.create_service(Dialogue, "~/say", self._on_request)

    def destroy_node(self) -> None:
        """End the conversation too."""
        if hasattr(self, "_dialogue"):  # a node that was refused at its start is destroyed too
            self._dialogue.close()
        super().destroy_node()

    def _on_said(self, message: String) -> None:
        self._say(message.data)

    def _say(self, said: str) -> Future[Reply]:
        reply = self._dialogue.say(said)
        reply.add_done_callback(lambda done: None if done.cancelled() else self._publish(self._reply_of(done).text))
        return reply

    async def _on_request(self, request, response):
        answered = RosFuture(executor=self.executor)
        self._say(request.text).add_done_callback(answered.set_result)
        done = await answered
        assert done is not None
        reply = self._reply_of(done)
        response.answer, response.instruction = reply.text, reply.instruction
        response.accepted = reply.kind == "instructed"
        return response

    def _reply_of(self, done: Future[Reply]) -> Reply:
        error = done.exception()
        if error is None:
            return done.result()
        # A defect: the operator is told, the log has the traceback, and the controller is left as it is.
        self.get_logger().error("".join(traceback.format_exception(error)))
        return Reply(f"I have failed to answer ({type(error).__name__}). 'Stop' still makes the arm hold.", "refused")

    def _announce(self, status: ControllerStatus) -> None:
        """Say why the arm has begun to hold, unless the operator asked for it."""
        if status.fault is not None and status.fault != self._fault and status.fault.kind not in _BY_OPERATOR:
            self._publish(why(status))
        self._fault = status.fault

    def _publish(self, answer: str) -> None:
        self._answers.publish(String(data=answer))


def main(arguments: list[str] | None = None) -> int:
    """Talk until it is told to end; also `python -m qsft_controller.dialogue_node --ros-args ...`."""
    return run(DialogueNode, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
