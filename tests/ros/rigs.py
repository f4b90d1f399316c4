"""An arm and a controller together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller_process import ControllerProcess
from slide_arm import SlideArm


class Rig:
    """Both, under one condition that is notified when anything arrives."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], cameras: tuple[str, ...]) -> None:
        self.arm = SlideArm(cameras=cameras)
        self.controller = ControllerProcess(self.arm, self.arm.changed, folder / "controller.log", *arguments)

    def moving(self, instruction: str = "move") -> None:
        """Drive until the slide is in motion."""
        self.controller.drive(instruction)
        self.wait_for_motion()

    def wait_for_motion(self) -> None:
        """Wait until a trajectory that came from now on moves the slide."""
        count = len(self.arm.slide_ways)
        self.controller.wait(
            lambda: any(abs(way.points[0].velocities[0]) > 0.01 for way in self.arm.slide_ways[count:]),
            "motion of the slide",
        )

    def wait_for_rest(self) -> float:
        """Wait until the slide has come to rest where it was commanded to; return where."""
        self.controller.wait(self.arm.slide_rests, "rest of the slide")
        rest = self.arm.slide_ways[-1].points[-1].positions[0]
        self.controller.wait(lambda: abs(self.arm.position("slide") - rest) < 1e-9, "the end of the way")
        return rest


@contextmanager
def rig_in(folder: Path, *arguments: str, cameras: tuple[str, ...] = ("front", "wrist")) -> Iterator[Rig]:
    rig = Rig(folder, arguments, cameras)
    try:
        yield rig
    finally:
        rig.controller.close()
        rig.arm.close()
