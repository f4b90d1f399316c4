"""A policy for the simulated arm: it looks at nothing and sways the tool from side to side."""

from __future__ import annotations

import numpy as np

from qsft_sim.environment import ACTION_NAMES, STATE_NAMES
from vlm_qsft.policy import PolicyInterface
from vlm_qsft.types import Decision, Observation

N_BINS = 5
STEPS_ONE_WAY = 4


class SwayPolicy:
    """Moves by 2 cm along y, four decisions each way, with the gripper open."""

    interface = PolicyInterface(("front", "wrist"), STATE_NAMES, ACTION_NAMES[5], 0.2)

    def __init__(self) -> None:
        self._count = 0

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        self._count = 0

    def act(self, observation: Observation) -> Decision:
        assert np.isfinite(observation.state).all()
        way = 0.4 if self._count // STEPS_ONE_WAY % 2 == 0 else -0.4
        self._count += 1
        action = np.array([[0.0, way, 0.0, 0.0, 1.0]], dtype=np.float32)
        scores = np.full((1, 5, N_BINS), 1 / N_BINS, dtype=np.float32)
        return Decision(action, np.zeros(action.shape, np.int64), scores, scores, 0.5, 0.0, 0.0)
