"""RobotChat: the operator dialogue as a conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vlm_qsft.dialogue.chat.chat import Fragment
from vlm_qsft.dialogue.operator import InstructionBook, OperatedRobot, OperatorDialogue
from vlm_qsft.dialogue.operator.understanding import listed


class RobotChat:
    """Talks with a robot; see `Chat`."""

    def __init__(self, robot: OperatedRobot, book: InstructionBook, *, new_scene: Callable[[], None] | None) -> None:
        """Begin.

        Args:
            robot: to talk with.
            book: what its policy was trained to do.
            new_scene: sets another scene; None where there is only this one.
        """
        self._robot, self._book, self._new_scene = robot, book, new_scene
        self._dialogue = OperatorDialogue(robot, book)

    @property
    def greeting(self) -> str:
        """Return what the robot was trained to do, and what lies before it."""
        things = self._robot.objects
        before = "" if things is None else f" Before me: {listed(things).replace(' or ', ' and ')}."
        return (
            f"A robot, trained to: {self._book.describe()}.{before} 'stop' holds at once; ask 'why did you stop?', "
            "'what do you plan?', 'how sure are you?'."
        )

    def hear(self, text: str) -> Iterator[Fragment]:
        """Yield the reply."""
        yield Fragment(self._dialogue.hear(text).text)

    def begin_anew(self) -> str:
        """Forget what was talked about; in a simulation, set the next scene."""
        self._dialogue = OperatorDialogue(self._robot, self._book)
        if self._new_scene is None:
            return "Forgotten."
        self._new_scene()
        return f"A new scene. {self.greeting}"
