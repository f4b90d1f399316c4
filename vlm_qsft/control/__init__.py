"""From decisions to commands that are safe to send: limits, watchdog, chunks, state machine. No ROS and no clock."""

from vlm_qsft.control.action_mapping import ActionMapping, AxisAction
from vlm_qsft.control.chunk_executor import DecisionRequest
from vlm_qsft.control.command import Command
from vlm_qsft.control.controller import Controller
from vlm_qsft.control.controller_state import ControllerState
from vlm_qsft.control.controller_status import ControllerStatus, controller_status
from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.control.inputs import MEASUREMENT
from vlm_qsft.control.instruction import Instruction
from vlm_qsft.control.limits import AxisLimits, RobotLimits
from vlm_qsft.control.settings import ControlSettings
from vlm_qsft.control.watchdog import CameraInput, VectorInput, Watchdog
from vlm_qsft.control.workspace import Workspace, WorkspaceBox

__all__ = [
    "MEASUREMENT",
    "ActionMapping",
    "AxisAction",
    "AxisLimits",
    "CameraInput",
    "Command",
    "ControlSettings",
    "Controller",
    "ControllerState",
    "ControllerStatus",
    "DecisionRequest",
    "Fault",
    "FaultKind",
    "Instruction",
    "RobotLimits",
    "VectorInput",
    "Watchdog",
    "Workspace",
    "WorkspaceBox",
    "controller_status",
]
