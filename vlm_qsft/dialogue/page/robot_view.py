"""What the page shows of a robot: state, reason, value curve, ages and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

from vlm_qsft.control import ControllerStatus
from vlm_qsft.dialogue.operator import OperatedRobot
from vlm_qsft.dialogue.plain_text import plain_text


class PageRobot(OperatedRobot, Protocol):
    """A robot whose cameras can be looked through."""

    def pictures(self) -> Mapping[str, UInt8[np.ndarray, "height width 3"]]:
        """Return the last picture of every camera."""
        ...


def robot_json(status: ControllerStatus, cameras: list[str]) -> dict[str, Any]:
    """Return a controller's status as JSON values; NaN and infinity, which JSON lacks, become null."""
    return {
        "state": status.state.value,
        "reason": "" if status.fault is None else plain_text(status.fault.text),
        "instruction": plain_text(status.instruction),
        "followed": plain_text(status.followed),
        "values": [_number(value) for value in status.values],
        "level": status.min_value,
        "ages": {name: _number(age_s) for name, age_s in status.input_ages_s.items()},
        "cameras": cameras,
    }


def _number(number: float) -> float | None:
    return round(float(number), 4) if math.isfinite(number) else None
