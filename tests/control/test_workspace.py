"""The tool stays in its box, also while the arm brakes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlm_qsft.control import FaultKind, Workspace, WorkspaceBox
from vlm_qsft.errors import CommandRefused, InvalidSetting

from .rig import Rig, decision


def slide_as_height(position: np.ndarray) -> np.ndarray:
    return np.array([0.4, 0.0, position[0]])


WORKSPACE = Workspace(WorkspaceBox((0.0, -1.0, -0.2), (1.0, 1.0, 0.12)), slide_as_height)


def test_the_tool_does_not_leave_the_workspace_even_while_it_brakes():
    rig = Rig(workspace=WORKSPACE).activated()
    for _ in range(200):
        if request := rig.controller.request_decision(rig.now_s):
            rig.controller.receive_decision(request, decision([[3.0, 0, 0]]), rig.now_s)
        command = rig.tick()
        assert command is not None
        assert command.target[0] <= 0.12
    assert command.reason is not None
    assert command.reason.kind is FaultKind.OUTSIDE_WORKSPACE
    assert command.target[0] > 0.08


def test_activation_outside_the_workspace_is_refused():
    rig = Rig(workspace=WORKSPACE)
    rig.position = np.array([0.3, 0.0, 0.0])
    with pytest.raises(CommandRefused, match="outside the box"):
        rig.activated()


def test_a_workspace_box_contains_its_border_and_no_point_with_nan():
    box = WorkspaceBox((0.0, -1.0, 0.0), (1.0, 1.0, 0.5))
    assert box.contains(np.array([0.0, 1.0, 0.5]))
    assert not box.contains(np.array([0.5, 0.0, 0.6]))
    assert not box.contains(np.array([0.5, math.nan, 0.1]))


def test_an_empty_workspace_box_is_refused():
    with pytest.raises(InvalidSetting, match="empty"):
        WorkspaceBox((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))
