from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.qsft import REMAINDERS, behavior_loss, q_loss


@st.composite
def batches(draw):
    """(logits of bins and dummy, logged bins, targets, weights), double precision."""
    batch, token, n_bins = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(2, 5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    targets = generator.choice([0.0, 1.0, 0.3, 0.9], size=(batch, token))
    return (
        generator.normal(size=(batch, token, n_bins + 1)) * draw(st.floats(0.1, 5)),
        generator.integers(n_bins, size=(batch, token)),
        targets,
        generator.choice([0.0, 1.0, 0.5], size=batch),
    )


def slow_gradient(logits, action_bins, targets, remainder):
    """Cross-entropy against label q has gradient (softmax - q) / rows with respect to the logits."""
    batch, token, columns = logits.shape
    gradient = np.zeros_like(logits)
    for row in range(batch):
        for i in range(token):
            label = np.zeros(columns)
            for bin_ in range(columns):
                if bin_ == action_bins[row, i]:
                    label[bin_] = targets[row, i]
                elif remainder == "dummy":
                    label[bin_] = 1 - targets[row, i] if bin_ == columns - 1 else 0
                elif bin_ < columns - 1:
                    label[bin_] = (1 - targets[row, i]) / (columns - 2)
            soft = np.exp(logits[row, i]) / np.exp(logits[row, i]).sum()
            gradient[row, i] = (soft - label) / (batch * token)
    return gradient


@settings(max_examples=30)
@given(batch=batches())
@pytest.mark.parametrize("remainder", REMAINDERS)
def test_gradient_of_the_q_loss_is_softmax_minus_label(remainder, batch):
    values, action_bins, targets, _ = batch
    logits = torch.tensor(values, requires_grad=True)
    loss, _ = q_loss(logits.log_softmax(-1), torch.tensor(action_bins), torch.tensor(targets), remainder=remainder)
    loss.backward()
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad, slow_gradient(values, action_bins, targets, remainder), atol=1e-12)


@settings(max_examples=30)
@given(batch=batches())
def test_gradient_of_the_behavior_loss_is_weighted_softmax_minus_one_hot(batch):
    values, action_bins, _, weights = batch
    logits = torch.tensor(values, requires_grad=True)
    loss, _ = behavior_loss(logits.log_softmax(-1), torch.tensor(action_bins), torch.tensor(weights))
    loss.backward()
    one_hot = np.eye(values.shape[-1])[action_bins]
    soft = np.exp(values) / np.exp(values).sum(-1, keepdims=True)
    expected = weights[:, None, None] * (soft - one_hot) / action_bins.size
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad, expected, atol=1e-12)


@pytest.mark.parametrize("remainder", REMAINDERS)
def test_loss_of_a_hand_made_row(remainder):
    log_p = torch.tensor([[[0.5, 0.2, 0.1, 0.2]]]).log()
    loss, metrics = q_loss(log_p, torch.tensor([[0]]), torch.tensor([[0.75]]), remainder=remainder)
    rest = math.log(0.2) if remainder == "dummy" else (math.log(0.2) + math.log(0.1)) / 2
    assert loss.item() == pytest.approx(-(0.75 * math.log(0.5) + 0.25 * rest))
    assert metrics["likelihood"].item() == pytest.approx(0.5)
    assert metrics["mean_target"].item() == pytest.approx(0.75)
    assert metrics["share_saturated"].item() == 0.0


@pytest.mark.parametrize("remainder", REMAINDERS)
def test_mean_over_micro_batches_is_the_loss_of_the_whole_batch(remainder):
    generator = torch.Generator().manual_seed(0)
    log_p = torch.randn(8, 2, 5, generator=generator).log_softmax(-1)
    action_bins, targets = torch.randint(4, (8, 2), generator=generator), torch.rand(8, 2, generator=generator)
    pairs = [slice(i, i + 2) for i in (0, 2, 4, 6)]
    whole, _ = q_loss(log_p, action_bins, targets, remainder=remainder)
    parts = [q_loss(log_p[pair], action_bins[pair], targets[pair], remainder=remainder)[0] for pair in pairs]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)
    weights = torch.tensor([0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    log_pi = log_p[..., :-1].log_softmax(-1)
    whole, _ = behavior_loss(log_pi, action_bins, weights)
    parts = [behavior_loss(log_pi[pair], action_bins[pair], weights[pair])[0] for pair in pairs]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_nll_is_averaged_over_the_weighted_rows_only():
    log_pi = torch.tensor([[[0.5, 0.5]], [[0.1, 0.9]]]).log()
    loss, metrics = behavior_loss(log_pi, torch.tensor([[0], [0]]), torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx(math.log(2) / 2)
    assert metrics["nll"].item() == pytest.approx(math.log(2))


def test_batch_without_weight_has_no_loss_and_no_nan():
    log_pi = torch.tensor([[[0.5, 0.5]]]).log()
    loss, metrics = behavior_loss(log_pi, torch.tensor([[0]]), torch.tensor([0.0]))
    assert (loss.item(), metrics["nll"].item(), metrics["accuracy"].item()) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("remainder", REMAINDERS)
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_an_impossible_token_with_label_zero_costs_nothing(remainder, target):
    certain = [0.0, -math.inf, -math.inf, -math.inf] if target else [-math.inf, *([math.log(1 / 3)] * 3)]
    log_p = torch.tensor([[certain]], requires_grad=True)
    loss, _ = q_loss(log_p, torch.tensor([[0]]), torch.tensor([[target]]), remainder=remainder)
    loss.backward()
    assert math.isfinite(loss.item())
    assert log_p.grad is not None
    assert torch.isfinite(log_p.grad).all()


def test_no_gradient_flows_through_the_targets():
    targets = torch.full((1, 1), 0.5, requires_grad=True)
    log_p = torch.zeros(1, 1, 3, requires_grad=True).log_softmax(-1)
    q_loss(log_p, torch.tensor([[0]]), targets, remainder="dummy")[0].backward()
    assert targets.grad is None


def test_the_dummy_index_is_not_an_action():
    with pytest.raises((RuntimeError, IndexError)):
        q_loss(torch.zeros(1, 1, 3), torch.tensor([[2]]), torch.tensor([[0.5]]), remainder="dummy")


def test_constant_targets_with_the_uniform_remainder_are_label_smoothing():
    log_p = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(0))
    log_p[..., -1] = -math.inf
    log_p = log_p.log_softmax(-1)
    action_bins = torch.arange(12).reshape(4, 3) % 6
    loss, _ = q_loss(log_p, action_bins, torch.full((4, 3), 0.9), remainder="uniform")
    # torch spreads the smoothing over all classes, the logged one included: 0.1 over 5 others is 0.12 over 6.
    smooth = torch.nn.CrossEntropyLoss(label_smoothing=0.12)
    torch.testing.assert_close(loss, smooth(log_p[..., :-1].flatten(0, 1), action_bins.flatten()))


def test_targets_of_another_shape_are_refused_instead_of_broadcast():
    with pytest.raises((ShapeMismatch, TypeError)):
        q_loss(torch.zeros(4, 2, 3), torch.zeros(4, 2, dtype=torch.long), torch.zeros(4, 1), remainder="dummy")
