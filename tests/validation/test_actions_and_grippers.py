"""Checks of what actions and grippers mean, each on a set that is broken by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.validation import validate_dataset
from qsft_datasets.validation.check_action_meaning import stem

from .declared import declare
from .sets import (
    facts,
    findings,
    only,
    with_action,
    write_set,
)


def test_first_actions_of_zero_and_padded_last_ones(tmp_path: Path):
    def pad(number, made):
        action = made.action.copy()
        action[0] = 0.0
        action[-1] = 0.0
        return replace(made, action=action)

    found = findings(write_set(tmp_path / "set", pad), "first actions")
    assert [finding.message[:60] for finding in found] == [
        "The first action is zero in 100% of the episodes, others in ",
        "The last action is zero in 100% of the episodes, others in 0",
    ]


def test_an_action_that_is_the_next_state_is_absolute_whatever_its_name_says(tmp_path: Path):
    def absolute(number, made):
        after = np.concatenate([made.state[1:], made.state[-1:]])
        return with_action(with_action(made, 0, after[:, 0]), 1, after[:, 1])

    root = write_set(tmp_path / "set", absolute)
    found = findings(root, "action meaning")
    assert [finding.message[:40] for finding in found] == [
        "Action 'dx' follows the state itself (co", "Action 'dy' follows the state itself (co",
    ]  # fmt: skip
    assert facts(root, "action meaning")["action meaning"].startswith("2 absolute: dx, dy (correlation with the state")


def test_an_action_that_moves_the_state_is_a_delta(good: Path):
    assert facts(good, "action meaning")["action meaning"].startswith("2 delta: dx, dy")


def test_a_velocity_moves_the_state_by_its_value_times_the_period(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda n, made: with_action(made, 0, made.action[:, 0] * 10))
    assert "1 velocity: dx" in facts(root, "action meaning")["action meaning"]


def test_an_action_of_the_wrong_sign_and_a_mixture(tmp_path: Path):
    def turn(number, made):
        after = np.concatenate([made.state[1:, 1], made.state[-1:, 1]])
        return with_action(with_action(made, 0, -made.action[:, 0]), 1, after)

    messages = [finding.message for finding in findings(write_set(tmp_path / "set", turn), "action meaning")]
    assert any(message.startswith("Action 'dx' moves the state the other way") for message in messages)
    assert any(message == "Some actions are absolute (dy), others changes (dx)." for message in messages)


def test_a_declared_meaning_is_compared_with_the_measured_one(root: Path):
    declare(root, dx="absolute", dy="delta", gripper="absolute")
    finding = only(root, "action meaning")
    assert finding.level == "error"
    assert finding.message.startswith("Action 'dx' is declared absolute and measured delta (correlation with the state")
    declare(root, dx="delta", dy="velocity", gripper="absolute")
    assert findings(root, "action meaning") == []


def test_the_gripper_of_the_mapping_is_compared_with_its_commands_and_with_the_state(root: Path):
    # -1 closes and 1 opens, and the finger of the state opens with it; the source had 0 for open, 1 for closed
    declare(root, gripper_ends=(0.0, 1.0), scale=-2.0, offset=1.0)
    assert findings(root, "gripper") == []
    declare(root, gripper_ends=(1.0, 0.0), scale=-2.0, offset=1.0)
    finding = only(root, "gripper")
    assert (finding.level, finding.message) == (
        "warning",
        "Gripper 'gripper' is declared open at -1 and closed at 1; the gripper of the state rises with the command.",
    )
    declare(root, gripper_ends=(1.0, 0.0))
    finding = only(root, "gripper")
    assert finding.message == ("Gripper 'gripper' is declared open at 1 and closed at 0; its commands go from -1 to 1.")


def test_a_mapping_that_was_damaged_is_an_error_of_the_report(root: Path):
    (root / "meta/mapping.yaml").write_text("name: [")
    report = validate_dataset(root)
    errors = [finding.message for _, finding in report.of_level("error")]
    assert len(errors) == 1 and "mapping.yaml" in errors[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dx", "x"), ("delta_x", "x"), ("vel_x", "x"), ("x", "x"), ("droll", "roll"), ("shoulder_pan.pos", "shoulder_pan"),
     ("depth", "depth"), ("dof", "dof"), ("target_joint_1", "joint_1")],
)  # fmt: skip
def test_names_that_belong_together(name: str, expected: str):
    assert stem(name) == expected


def test_a_gripper_that_closes_upwards_in_some_episodes_is_an_error(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda n, made: with_action(made, 2, -made.action[:, 2]) if n < 2 else made)
    finding = only(root, "gripper")
    assert (finding.level, finding.episodes) == ("error", (0, 1))


def test_a_gripper_of_the_other_sign_everywhere_is_a_warning(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda n, made: with_action(made, 2, -made.action[:, 2]))
    finding = only(root, "gripper")
    assert finding.level == "warning" and "go opposite ways" in finding.message


def test_a_gripper_of_two_ranges_is_a_warning(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda n, made: with_action(made, 2, made.action[:, 2] > 0) if n == 3 else made)
    finding = only(root, "gripper")
    assert (finding.level, finding.episodes) == ("warning", (3,))
    assert "from -1 to 1 in 5 episodes and from 0 to 1 in 1" in finding.message
