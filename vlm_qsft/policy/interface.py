"""What a policy sees and does: enough to check a robot against it before anything moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vlm_qsft.types import Policy


@dataclass(frozen=True)
class PolicyInterface:
    """The declared inputs and outputs of a policy.

    Attributes:
        cameras: names of the pictures it needs.
        state_names: one name per number of proprioception, in order.
        action_names: one name per number of an action, in order.
        step_s: time between two steps of an action chunk, seconds: 1 / fps of its data.
    """

    cameras: tuple[str, ...]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    step_s: float


class DescribedPolicy(Policy, Protocol):
    """A policy that says what it needs; only such a policy can drive a robot."""

    @property
    def interface(self) -> PolicyInterface:
        """What it sees and does."""
        ...
