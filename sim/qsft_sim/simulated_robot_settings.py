"""What a simulated robot is, how it is judged, and which scene stands before it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from qsft_sim.environment import EnvironmentSettings
from qsft_sim.seeds import EVALUATION
from qsft_sim.tasks import task_named
from vlm_qsft.errors import InvalidSetting


@dataclass(frozen=True)
class SceneChoice:
    """Which scene is set; the same numbers name the same scene in an evaluation.

    Attributes:
        task: name of the task.
        base: `seeds.RECORDING`, `TUNING` or `EVALUATION`.
        episode: number of the scene.
        seed: another one gives other scenes of the same base.
    """

    task: str = "pick"
    base: int = EVALUATION
    episode: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UnknownName, InvalidSetting: a task that does not exist, a negative number."""
        task_named(self.task)
        if min(self.base, self.episode, self.seed) < 0:
            raise InvalidSetting(
                f"base is {self.base}, episode {self.episode}, seed {self.seed}: expected numbers from 0 on."
            )


@dataclass(frozen=True)
class SimulatedRobotSettings:
    """What the robot is and how it is judged.

    Attributes:
        environment: cameras, pictures, scenes.
        camera_hz: pictures per second of simulated time, at most 50.
        time_limit_s: an episode that lasts longer has failed, seconds of simulated time.
        demonstrator: quality of the demonstrator that drives; None leaves the arm to commands.
    """

    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    camera_hz: float = 10.0
    time_limit_s: float = 16.0
    demonstrator: str | None = None

    def __post_init__(self) -> None:
        """Raises InvalidSetting: a rate or a time outside its range."""
        if not 0 < self.camera_hz <= 50:
            raise InvalidSetting(f"camera_hz is {self.camera_hz}: expected more than 0 and at most 50.")
        if not (math.isfinite(self.time_limit_s) and self.time_limit_s > 0):
            raise InvalidSetting(f"time_limit_s is {self.time_limit_s}: expected a positive number of seconds.")
