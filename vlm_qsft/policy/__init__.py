"""From observation and instruction to a decision. Loads torch only when `QPolicy` is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlm_qsft.policy.interface import DescribedPolicy, PolicyInterface
from vlm_qsft.policy.settings import POLICY_FILE, ExtractionChoice, PolicySettings

if TYPE_CHECKING:
    from vlm_qsft.policy.q_policy import QPolicy

__all__ = ["POLICY_FILE", "DescribedPolicy", "ExtractionChoice", "PolicyInterface", "PolicySettings", "QPolicy"]


def __getattr__(name: str) -> object:
    if name != "QPolicy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vlm_qsft.policy.q_policy import QPolicy

    return QPolicy
