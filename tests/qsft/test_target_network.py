from __future__ import annotations

import pytest
import torch
from torch import nn

from vlm_qsft.errors import CheckpointError, InvalidSetting, ShapeMismatch
from vlm_qsft.qsft import TargetNetwork, polyak_update


def network(value=0.0, frozen=False):
    module = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)
    module[0].requires_grad_(not frozen)
    return module


def test_polyak_update_moves_by_the_rate():
    target, online = network(0.0), network(1.0)
    for expected in (0.25, 0.4375, 0.578125):  # 1 - 0.75**n
        polyak_update(target, online, 0.25)
        assert all(parameter.item() == expected for parameter in target.parameters())
    assert all(parameter.item() == 1.0 for parameter in online.parameters())


def test_rate_one_copies_and_buffers_are_always_copied():
    target, online = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    online(torch.randn(8, 2))
    nn.init.constant_(online.weight, 3.0)
    polyak_update(target, online, 1.0)
    for name, tensor in online.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name


def test_target_network_takes_no_gradient_and_does_not_follow_by_itself():
    online = network(1.0)
    target = TargetNetwork(online, 0.5)
    nn.init.constant_(online.get_parameter("0.weight"), 5.0)
    assert not any(parameter.requires_grad for parameter in target.module.parameters())
    assert not target.module.training
    assert target.module.get_parameter("0.weight").item() == 1.0
    target.update(online)
    assert target.module.get_parameter("0.weight").item() == 3.0
    assert online.get_parameter("0.weight").requires_grad


def test_frozen_parameters_are_shared_and_not_saved():
    online = network(1.0, frozen=True)
    target = TargetNetwork(online, 0.5)
    assert target.module.get_parameter("0.weight") is online.get_parameter("0.weight")
    assert target.module.get_parameter("1.weight") is not online.get_parameter("1.weight")
    assert sorted(target.state_dict()) == ["1.bias", "1.weight"]


def test_state_survives_a_round_trip():
    online = network(1.0)
    target = TargetNetwork(network(0.0), 0.1)
    target.update(online)
    restored = TargetNetwork(network(7.0), 0.1)
    restored.load_state_dict({name: tensor.clone() for name, tensor in target.state_dict().items()})
    target.update(online)
    restored.update(online)
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, restored.state_dict()[name])


def test_tied_parameters_are_saved_once():
    online = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    online[1].weight = online[0].weight
    target = TargetNetwork(online, 0.5)
    assert list(target.state_dict()) == ["0.weight"]
    assert target.module.get_parameter("1.weight") is target.module.get_parameter("0.weight")


def test_foreign_state_is_refused_and_changes_nothing():
    target = TargetNetwork(network(1.0), 0.5)
    state = {name: torch.zeros_like(tensor) for name, tensor in target.state_dict().items()}
    state["1.weight"] = torch.zeros(2, 2)
    with pytest.raises(CheckpointError, match=r"1\.weight"):
        target.load_state_dict(state)
    assert all(parameter.item() == 1.0 for parameter in target.module.parameters())


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.5])
def test_rates_outside_their_range_are_refused(rate):
    with pytest.raises(InvalidSetting, match="target_update_rate"):
        TargetNetwork(network(), rate)
    with pytest.raises(InvalidSetting, match="target_update_rate"):
        polyak_update(network(), network(), rate)


def test_half_precision_parameters_are_refused_because_the_average_would_stand_still():
    with pytest.raises(InvalidSetting, match="rounds"):
        polyak_update(network(1.0).bfloat16(), network(2.0).bfloat16(), 0.001)


def test_networks_of_different_shape_are_refused():
    with pytest.raises(ShapeMismatch, match=r"0\.weight"):
        polyak_update(nn.Sequential(nn.Linear(1, 2)), nn.Sequential(nn.Linear(1, 1)), 0.5)
