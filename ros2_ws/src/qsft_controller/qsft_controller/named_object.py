"""Classes and functions that a parameter names as MODULE:NAME."""

from __future__ import annotations

import importlib
from typing import Any

from vlm_qsft.errors import InvalidSetting


def named_object(name: str, what: str) -> Any:
    """Return what `MODULE:NAME` names.

    Args:
        name: for example "qsft_sim.kinematics:ArmKinematics".
        what: what it is, for the message.

    Raises:
        InvalidSetting: not of that form, no such module, or the module has no such name.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise InvalidSetting(f"The {what} must be named as MODULE:NAME, got '{name}'.")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InvalidSetting(f"The {what} '{name}' cannot be imported: {error}.") from error
    if not hasattr(module, attribute):
        raise InvalidSetting(f"The {what} '{name}' does not exist: module {module_name} has no '{attribute}'.")
    return getattr(module, attribute)
