"""A policy that the controller loads by name: it looks at nothing and moves the slide to and fro."""

from __future__ import annotations

import os
import time

import numpy as np

from vlm_qsft.errors import NotFinite
from vlm_qsft.policy import PolicyInterface
from vlm_qsft.types import Decision, Observation

N_BINS = 5


class SlidePolicy:
    """Moves by +2 cm and back, five decisions each way.

    The instruction says what else it does: "fail" raises an error that a user can cause, "break" one that is a defect,
    "think" takes half a second, "doubt" has a value of 0.05, "jump" asks for 10 m, "nan" decides nothing.
    """

    interface = PolicyInterface(("front", "wrist"), ("slide", "turn", "gripper"), ("dx", "dturn", "gripper"), 0.1)

    def __init__(self) -> None:
        self._instruction, self._count = "", 0

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        self._instruction, self._count = instruction, 0

    def act(self, observation: Observation) -> Decision:
        begin_s = time.perf_counter()
        assert observation.state.shape == (3,)
        assert all(observation.images[name].shape == (24, 32, 3) for name in self.interface.cameras)
        if "fail" in self._instruction:
            raise NotFinite("The weights hold NaN.")
        if "break" in self._instruction:
            raise RuntimeError("a defect")
        if "think" in self._instruction:
            time.sleep(0.5)  # a slow network, not a wait of the test
        way = 1.0 if self._count // 5 % 2 == 0 else -1.0
        self._count += 1
        action = np.array([[way, 0.0, 1.0]], dtype=np.float32)
        if "jump" in self._instruction:
            action[0, 0] = 500.0
        if "nan" in self._instruction:
            action[0, 1] = np.nan
        scores = np.tile(np.linspace(0, 1, N_BINS, dtype=np.float32), (1, 3, 1))
        bins = np.array([[4 if way > 0 else 0, 2, 4]])
        value = 0.05 if "doubt" in self._instruction else 0.75
        return Decision(action, bins, scores, np.full_like(scores, 0.2), value, 1.6, time.perf_counter() - begin_s)


def make() -> SlidePolicy:
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    return SlidePolicy()
