from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
import pytest
import torch

from vlm_qsft.errors import InvalidSetting, NotFinite, TargetOutOfRange, UnknownName
from vlm_qsft.qsft import (
    BACKUPS,
    BackupInputs,
    BackupSettings,
    behavior_targets,
    max_targets,
    monte_carlo_targets,
    nstep_targets,
    value_from_dummy,
)

SETTINGS = BackupSettings(remainder="dummy", support=0.3, clip=True, reward_rule="binary01")


def behavior(reward, discount, bootstrap, next_value, prefix_values):
    return behavior_targets(
        torch.tensor(reward),
        torch.tensor(discount),
        torch.tensor(bootstrap),
        next_value=torch.tensor(next_value),
        prefix_values=torch.tensor(prefix_values),
        reward_rule="binary01",
    ).tolist()


def test_tokens_before_the_last_move_on_without_reward_or_discount():
    (targets,) = behavior([0.25], [0.5], [True], [0.5], [[0.9, 0.6, 0.7]])
    assert targets == pytest.approx([0.6, 0.7, 0.25 + 0.5 * 0.5])


def test_terminated_steps_do_not_bootstrap_and_truncated_ones_do():
    terminated, truncated = behavior([0.0, 0.0], [0.9, 0.9], [False, True], [0.5, 0.5], [[0.0], [0.0]])
    assert (terminated, truncated) == ([0.0], pytest.approx([0.45]))


def test_a_terminated_success_is_worth_its_reward():
    assert behavior([1.0], [0.9], [False], [0.8], [[0.0]]) == [[1.0]]


def test_the_value_after_the_end_is_never_looked_at():
    assert behavior([1.0], [0.9], [False], [math.nan], [[0.0]]) == [[1.0]]


def test_monte_carlo_and_nstep_give_every_token_of_an_action_the_same_target():
    assert monte_carlo_targets(torch.tensor([0.3, 0.7]), 2, reward_rule="r").tolist() == [
        pytest.approx([0.3, 0.3]),
        pytest.approx([0.7, 0.7]),
    ]
    targets = nstep_targets(
        torch.tensor([0.1, 0.9]),
        torch.tensor([0.5, 0.5]),
        torch.tensor([True, False]),
        next_value=torch.tensor([0.6, 0.6]),
        n_tokens=2,
        reward_rule="r",
    )
    np.testing.assert_allclose(targets, [[0.4, 0.4], [0.9, 0.9]], rtol=1e-6)


def test_max_backup_takes_the_largest_ratio_of_the_prefix_and_of_the_next_state():
    log_pi = torch.tensor([[[0.5, 0.5], [0.9, 0.1]]]).log()
    log_p = torch.tensor([[[0.1, 0.1, 0.8], [0.45, 0.08, 0.47]]]).log()
    arguments = {
        "log_p_next": torch.tensor([[0.3, 0.1, 0.6]]).log(),
        "log_pi_next": torch.tensor([[0.6, 0.4]]).log(),
        "log_p": log_p,
        "log_pi": log_pi,
        "clip": True,
        "reward_rule": "r",
    }
    step = (torch.tensor([0.0]), torch.tensor([0.5]), torch.tensor([True]))
    (everything,) = max_targets(*step, support=0.0, **arguments).tolist()
    (likely_only,) = max_targets(*step, support=0.3, **arguments).tolist()
    assert everything == pytest.approx([0.8, 0.25])
    assert likely_only == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize("value", [1.001, -0.001])
def test_a_return_outside_the_unit_interval_names_the_reward_rule(value):
    with pytest.raises(TargetOutOfRange, match="'minus_steps'"):
        monte_carlo_targets(torch.tensor([0.5, value]), 1, reward_rule="minus_steps")


def test_a_cost_per_step_may_meet_a_value_that_is_too_low_or_a_gain_one_that_is_too_high():
    """Costs of 0.1 and gains of 0.3 are scaled: some value leads into [0, 1]. The one at hand is the network's."""
    reward, discount = torch.tensor([-0.1, 0.3]), torch.tensor([1.0, 1.0])
    step = {"bootstrap_mask": torch.tensor([True, True]), "n_tokens": 1, "reward_rule": "recap"}
    targets = nstep_targets(reward, discount, next_value=torch.tensor([0.05, 0.9]), **step)
    assert targets.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("reward", "mask", "value"),
    [(-0.1, False, 0.5), (1.1, True, 0.0), (-1.2, True, 1.0), (0.0, True, 1.1), (0.0, True, -0.1), (-0.1, True, -0.2)],
)
def test_a_reward_that_no_value_can_mend_is_refused_and_so_is_a_value_outside_the_unit_interval(reward, mask, value):
    with pytest.raises(TargetOutOfRange, match="'minus_steps'"):
        nstep_targets(
            torch.tensor([reward]), torch.tensor([1.0]), torch.tensor([mask]),
            next_value=torch.tensor([value]), n_tokens=1, reward_rule="minus_steps",
        )  # fmt: skip


def test_rounding_at_the_border_is_clipped():
    targets = monte_carlo_targets(torch.tensor([1.00005, -0.00005]), 1, reward_rule="r")
    assert targets.tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_targets_that_are_not_numbers_are_refused(value):
    with pytest.raises(NotFinite):
        monte_carlo_targets(torch.tensor([0.5, value]), 1, reward_rule="r")


def test_the_printed_max_without_clip_leaves_the_unit_interval():
    inputs = BackupInputs(
        n_tokens=1,
        reward=torch.zeros(1),
        discount=torch.ones(1),
        bootstrap_mask=torch.ones(1, dtype=torch.bool),
        log_p_next=torch.tensor([[0.5, 0.01, 0.49]]).log(),
        log_pi_next=torch.tensor([[0.999, 0.001]]).log(),
        log_p=torch.zeros(1, 1, 3),
        log_pi=torch.zeros(1, 1, 2),
    )
    printed = dataclasses.replace(SETTINGS, support=0.0, clip=False)
    with pytest.raises(TargetOutOfRange, match="'max'"):
        BACKUPS["max"].targets(inputs, printed)
    assert BACKUPS["max"].targets(inputs, SETTINGS).item() == pytest.approx(0.5 / 0.999)


@pytest.mark.parametrize("remainder", ["dummy", "uniform"])
@pytest.mark.parametrize("name", sorted(BACKUPS))
def test_backups_need_exactly_the_fields_they_name(name, remainder):
    backup, settings = BACKUPS[name], dataclasses.replace(SETTINGS, remainder=remainder)
    log_pi = torch.full((3, 2, 4), 0.25).log()
    everything = {
        "returns": torch.full((3,), 0.5),
        "reward": torch.zeros(3),
        "discount": torch.full((3,), 0.9),
        "bootstrap_mask": torch.ones(3, dtype=torch.bool),
        "log_p_next": torch.full((3, 5), 0.2).log(),
        "log_pi_next": log_pi[:, 0],
        "log_p": torch.full((3, 2, 5), 0.2).log(),
        "log_pi": log_pi,
    }
    needed = backup.needs_uniform if remainder == "uniform" else backup.needs
    targets = backup.targets(BackupInputs(n_tokens=2, **{key: everything[key] for key in needed}), settings)
    assert targets.shape == (3, 2)
    assert not targets.requires_grad
    for left_out in needed:
        fields = {key: everything[key] for key in needed - {left_out}}
        with pytest.raises(InvalidSetting, match=f"missing: {left_out}"):
            backup.targets(BackupInputs(n_tokens=2, **fields), settings)


def test_value_from_dummy_keeps_precision_where_the_value_is_small():
    assert value_from_dummy(torch.tensor([-20.0, math.log1p(-1e-7)])).item() == pytest.approx(1e-7, rel=1e-3)


def test_settings_are_checked_when_they_are_built():
    with pytest.raises((UnknownName, TypeError)):  # the annotation check of the tests may come first
        BackupSettings(remainder=cast(Any, "unifrom"), support=0.3, clip=True, reward_rule="r")
    with pytest.raises(InvalidSetting, match="support"):
        BackupSettings(remainder="dummy", support=-1.0, clip=True, reward_rule="r")
