"""From observation and instruction to a decision. Loads NumPy and torch only when what needs them is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vlm_qsft.policy.settings import POLICY_FILE, ExtractionChoice, PolicySettings

if TYPE_CHECKING:
    from vlm_qsft.policy.interface import DescribedPolicy, PolicyInterface
    from vlm_qsft.policy.q_policy import QPolicy

__all__ = ["POLICY_FILE", "DescribedPolicy", "ExtractionChoice", "PolicyInterface", "PolicySettings", "QPolicy"]

_MODULES = {"DescribedPolicy": "interface", "PolicyInterface": "interface", "QPolicy": "q_policy"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
