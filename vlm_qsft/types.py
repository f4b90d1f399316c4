"""The records that cross module borders: what a robot sees, what a policy decides, what is sent.

NumPy only: importing this module loads neither torch nor ROS nor lerobot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Int64, UInt8


@dataclass(frozen=True)
class Observation:
    """What the robot perceives at one control step.

    Attributes:
        images: camera name -> RGB picture, uint8.
        state: proprioception in physical units, in the order of the data set's state names.
        stamp_s: time of the oldest part, seconds on the clock of whoever made the observation.
    """

    images: Mapping[str, UInt8[np.ndarray, "height width 3"]]
    state: Float32[np.ndarray, " state_dim"]
    stamp_s: float = 0.0


@dataclass(frozen=True)
class Decision:
    """What a policy answers to one observation.

    An action chunk has `chunk` control steps; a policy without chunks has `chunk == 1`.

    Attributes:
        action: physical units, one row per control step.
        action_bins: the chosen bin of every dimension.
        q_values: likelihood ratio p_theta / pi_phi in [0, 1] of every bin, given the bins chosen before it.
        probabilities: the distribution the bin was drawn from, after temperature, support and extraction.
        value: V(s) in [0, 1] as `qsft.behavior_value` reads it; NaN where the policy has no likelihood model (SFT).
        entropy: mean over tokens of the entropy of `probabilities`, nats.
        latency_s: wall time spent deciding, seconds.
    """

    action: Float32[np.ndarray, "chunk action_dim"]
    action_bins: Int64[np.ndarray, "chunk action_dim"]
    q_values: Float32[np.ndarray, "chunk action_dim n_bins"]
    probabilities: Float32[np.ndarray, "chunk action_dim n_bins"]
    value: float
    entropy: float
    latency_s: float


class Policy(Protocol):
    """Anything that decides: a Q-SFT policy, a scripted demonstrator, a client of a policy server."""

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        """Begin an episode; `seed` fixes every random draw until the next reset.

        Raises:
            QsftError: the instruction cannot be understood by this policy.
        """
        ...

    def act(self, observation: Observation) -> Decision:
        """Decide from one observation.

        Raises:
            ShapeMismatch, NotFinite, UnknownName: the observation does not fit the checkpoint.
        """
        ...
