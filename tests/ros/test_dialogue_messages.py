"""What the controller says on its topics, read back for the dialogue; no message goes over the network here."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")
pytest.importorskip("qsft_interfaces", reason="the interfaces are not built: make ros")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from qsft_interfaces.msg import ActionScores

from qsft_controller.diagnostics import Health, diagnostic_array
from qsft_controller.dialogue_node import book_of
from qsft_controller.score_messages import decision_from, fill_scores
from qsft_controller.status_messages import status_from
from vlm_qsft.control import ControllerState, ControllerStatus, Fault, FaultKind
from vlm_qsft.errors import CheckpointError, InvalidSetting, ShapeMismatch, UnknownName
from vlm_qsft.types import Decision

FAULT = Fault(FaultKind.STALE_INPUT, "Input 'front' is 0.600 s old, at most 0.5 s allowed.")


def said(health: Health, *, node_name: str = "/controller") -> ControllerStatus | None:
    return status_from(diagnostic_array(health, node_name=node_name, stamp_s=1.0), "/controller")


def test_what_the_controller_says_is_read_back_as_it_was_meant() -> None:
    ages = {"front": 0.6, "wrist": math.inf}
    health = Health(
        ControllerState.HOLDING, str(FAULT), FAULT, "pick up the cube", 0.4, ages, None, 0.1, 0.05, 0.1, "move the ball"
    )
    assert said(health) == ControllerStatus(
        ControllerState.HOLDING,
        fault=FAULT,
        instruction="pick up the cube",
        min_value=0.1,
        input_ages_s=ages,
        followed="move the ball",
    )


def test_a_reason_that_is_no_fault_is_a_complaint() -> None:
    waiting = Health(ControllerState.INACTIVE, "Input 'front' never came.", None, "", math.nan, {}, None, 0.0, 0.0)
    assert said(waiting) == ControllerStatus(ControllerState.INACTIVE, complaint="Input 'front' never came.")
    unconfigured = Health(None, "No such folder.", None, "", math.nan, {}, None, math.nan, math.nan)
    status = said(unconfigured)
    assert status is not None and status.complaint == "The controller is not configured. No such folder."


def test_diagnostics_of_others_say_nothing_and_unknown_words_are_refused() -> None:
    active = Health(ControllerState.ACTIVE, "", None, "", math.nan, {}, None, 0.0, 0.0)
    assert said(active, node_name="/other") is None
    status = DiagnosticStatus(name="/controller: controller", values=[KeyValue(key="state", value="dancing")])
    with pytest.raises(UnknownName, match="dancing"):
        status_from(DiagnosticArray(status=[status]), "/controller")


def test_action_scores_are_the_decision_again_and_wrong_sizes_are_refused() -> None:
    generator = np.random.default_rng(3)
    scores = generator.random((2, 3, 4), np.float32)
    action = generator.random((2, 3), np.float32)
    decision = Decision(action, np.array([[0, 1, 2], [3, 2, 1]]), scores, 1 - scores, 0.5, 1.25, 0.125)
    message = ActionScores()
    names = ("dx", "dy", "gripper")
    fill_scores(
        message,
        decision,
        action_names=names,
        instruction="",
        stamp_s=2.0,
        observation_stamp_s=1.0,
        observation_age_s=0.1,
    )
    read = decision_from(message)
    for name in ("action", "action_bins", "q_values", "probabilities"):
        np.testing.assert_array_equal(getattr(read, name), getattr(decision, name))
    assert (read.value, read.entropy, read.latency_s) == (0.5, 1.25, 0.125)
    message.n_bins = 5
    with pytest.raises(ShapeMismatch, match="q_values"):
        decision_from(message)


def test_the_dialogue_needs_one_source_of_trained_instructions(tmp_path: Path) -> None:
    lines = tmp_path / "instructions.txt"
    lines.write_text("pick up the red cube\n")
    (tmp_path / "metadata.json").write_text('{"instructions": ["pick up the blue ball"]}')
    assert book_of(checkpoint="", instructions_file=str(lines)).objects == ("red cube",)
    assert book_of(checkpoint=str(tmp_path), instructions_file="").objects == ("blue ball",)
    for both in ({"checkpoint": "", "instructions_file": ""}, {"checkpoint": "a", "instructions_file": "b"}):
        with pytest.raises(InvalidSetting, match="one of the parameters"):
            book_of(**both)
    with pytest.raises(CheckpointError, match="does not say"):
        book_of(checkpoint=str(tmp_path / "nowhere"), instructions_file="")
    with pytest.raises(InvalidSetting, match="cannot be read"):
        book_of(checkpoint="", instructions_file=str(tmp_path / "nowhere"))
