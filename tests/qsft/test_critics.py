"""The losses of the rivals against numbers computed another way."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vlm_qsft.qsft import ratio
from vlm_qsft.qsft.critics import (
    CQL_CONSERVATISM,
    CRITICS,
    EXPECTILE,
    ILQL_CONSERVATISM,
    critic_loss,
    critic_value,
    largest_q,
    likelihood_of_critic,
    log_values,
)

LOGITS = [0.4, -1.0, 2.0, 0.3]
"""Three bins, and V in the last place."""
BIN, TARGET = 1, 0.7


def sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


def loss_of(name: str, logits: list[float], target: float = TARGET) -> float:
    batch = torch.tensor([[logits]], dtype=torch.float64)
    loss, _ = critic_loss(
        CRITICS[name],
        batch,
        torch.tensor([[BIN]]),
        torch.tensor([[target]], dtype=torch.float64),
        torch.ones(1).double(),
    )
    return loss.item()


def test_the_monte_carlo_critic_is_fitted_by_binary_cross_entropy() -> None:
    q, v = sigmoid(LOGITS[BIN]), sigmoid(LOGITS[-1])
    expected = -sum(TARGET * math.log(p) + (1 - TARGET) * math.log(1 - p) for p in (q, v))
    assert loss_of("monte_carlo", LOGITS) == pytest.approx(expected)


def test_ilql_adds_a_bellman_error_an_expectile_and_a_likelihood() -> None:
    q, v = sigmoid(LOGITS[BIN]), sigmoid(LOGITS[-1])
    assert q < v
    nll = math.log(sum(math.exp(z) for z in LOGITS[:3])) - LOGITS[BIN]
    expected = (q - TARGET) ** 2 + (1 - EXPECTILE) * (q - v) ** 2 + ILQL_CONSERVATISM * nll
    assert loss_of("ilql", LOGITS) == pytest.approx(expected)
    below = [*LOGITS[:3], -3.0]
    gap = q - sigmoid(-3.0)
    expected = (q - TARGET) ** 2 + EXPECTILE * gap**2 + ILQL_CONSERVATISM * nll
    assert loss_of("ilql", below) == pytest.approx(expected)


def test_cql_adds_the_squares_of_the_values_that_were_not_logged() -> None:
    q = [sigmoid(z) for z in LOGITS[:3]]
    expected = (q[BIN] - TARGET) ** 2 + CQL_CONSERVATISM * (q[0] ** 2 + q[2] ** 2) / 2
    assert loss_of("cql", LOGITS) == pytest.approx(expected)
    assert loss_of("cql", [*LOGITS[:3], 9.0]) == pytest.approx(expected)  # V has no part in it


def test_rows_are_weighted_and_divided_by_their_number() -> None:
    logits = torch.tensor([[LOGITS], [[0.0, 0.0, 0.0, 0.0]]], dtype=torch.float64)
    bins, targets = torch.tensor([[BIN], [0]]), torch.tensor([[TARGET], [0.2]], dtype=torch.float64)
    loss, metrics = critic_loss(CRITICS["cql"], logits, bins, targets, torch.tensor([2.0, 0.5]).double())
    other = (0.5 - 0.2) ** 2 + CQL_CONSERVATISM * 0.25
    assert loss.item() == pytest.approx((2.0 * loss_of("cql", LOGITS) + 0.5 * other) / 2)
    assert metrics["mean_target"].item() == pytest.approx((2.0 * TARGET + 0.5 * 0.2) / 2.5)


def fitted(name: str, bins: Tensor, targets: Tensor, n_bins: int) -> Tensor:
    """Return the values of one state that is logged with these bins and targets, fitted until they stand still."""
    logits = torch.zeros(1, 1, n_bins + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], lr=0.5, max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-15)

    def closure() -> Tensor:
        optimiser.zero_grad()
        rows = logits.expand(len(bins), 1, -1)
        loss, _ = critic_loss(CRITICS[name], rows, bins[:, None], targets[:, None], torch.ones(len(bins)).double())
        loss.backward()
        return loss

    optimiser.step(closure)
    return log_values(logits.detach()[0, 0])


def test_the_monte_carlo_critic_finds_the_mean_return_of_every_action_and_of_the_state() -> None:
    bins, returns = torch.tensor([0, 0, 1, 1, 1, 1]), torch.tensor([0.1, 0.5, 0.9, 0.7, 0.8, 0.6]).double()
    values = fitted("monte_carlo", bins, returns, 2)
    torch.testing.assert_close(values[:2].exp(), torch.tensor([0.3, 0.75]).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(critic_value(values), returns.mean(), atol=1e-5, rtol=0)


def test_cql_finds_what_its_two_squares_balance() -> None:
    bins, targets = torch.tensor([0, 1, 1, 1]), torch.tensor([0.8, 0.4, 0.4, 0.4]).double()
    values = fitted("cql", bins, targets, 2).exp()
    # d/dQ of n_logged (Q - y)^2 + c n_others Q^2 is zero at Q = n_logged y / (n_logged + c n_others).
    assert values[0].item() == pytest.approx(0.8 / (1 + 3 * CQL_CONSERVATISM), abs=1e-5)
    assert values[1].item() == pytest.approx(3 * 0.4 / (3 + CQL_CONSERVATISM), abs=1e-5)
    assert largest_q(values.log()).item() == pytest.approx(values[0].item())


def test_the_value_of_ilql_is_the_expectile_of_the_logged_actions() -> None:
    """V minimises E|tau - 1(Q < V)| (Q - V)^2; where it is zero is found by bisection."""
    q = torch.tensor([0.2, 0.4, 0.9], dtype=torch.float64)
    logits = torch.cat([torch.logit(q), torch.zeros(1).double()]).requires_grad_()
    rows, bins = logits.expand(3, 1, -1), torch.arange(3)[:, None]
    optimiser = torch.optim.SGD([logits], lr=20.0)
    for _ in range(700):
        optimiser.zero_grad()
        loss, _ = critic_loss(CRITICS["ilql"], rows.detach() * 0 + logits, bins, q[:, None], torch.ones(3).double())
        loss.backward()
        assert logits.grad is not None
        logits.grad[:3] = 0.0  # Q stays where it is
        optimiser.step()
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        slope = sum((EXPECTILE if x > middle else 1 - EXPECTILE) * (x - middle) for x in q.tolist())
        low, high = (middle, high) if slope > 0 else (low, middle)
    assert torch.sigmoid(logits[-1]).item() == pytest.approx(low, abs=1e-5)


def test_a_critic_stands_for_the_likelihood_whose_ratio_is_its_q() -> None:
    values = log_values(torch.tensor(LOGITS, dtype=torch.float64))
    log_pi = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
    log_p = likelihood_of_critic(values, log_pi)
    assert log_p.exp().sum().item() == pytest.approx(1.0)
    q = [sigmoid(z) for z in LOGITS[:3]]
    assert log_p[:3].exp().tolist() == pytest.approx([p * x for p, x in zip([0.5, 0.3, 0.2], q, strict=True)])
    policy = ratio(log_p, log_pi, inverse_temperature=3.0, temperature=1.0, support=0.0).exp()
    tilted = [p * math.exp(3.0 * x) for p, x in zip([0.5, 0.3, 0.2], q, strict=True)]
    assert policy.tolist() == pytest.approx([t / sum(tilted) for t in tilted])


def test_a_critic_that_is_sure_of_everything_leaves_no_nan() -> None:
    log_pi = torch.tensor([0.5, 0.5]).log()
    log_p = likelihood_of_critic(torch.tensor([0.0, 0.0, 0.0]), log_pi)
    assert torch.isfinite(log_p).all()
    assert log_p[:2].exp().tolist() == pytest.approx([0.5, 0.5])
