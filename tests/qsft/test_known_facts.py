"""What breaks Q-SFT and what does not, on problems small enough to know the answer. Numbers are in qsft/README.md."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vlm_qsft.qsft import EXTRACTIONS, behavior_loss, log_likelihood_ratio, max_ratio, q_loss, sft, value_from_dummy

from .tabular import uniform_optimum


def fitted(loss_of, n_states, n_columns, *, seed, steps=300):
    """Fit a table of logits from a random start, for as long as one would train a network: not to the end."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n_states, n_columns, generator=generator, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of(logits.log_softmax(-1)).backward()
        optimiser.step()
    return logits.detach().log_softmax(-1)


def test_the_literal_max_saturates_every_state_and_the_support_repairs_a_table():
    n_states, n_bins, n_likely, rows = 20, 32, 4, 400
    generator = np.random.default_rng(0)
    worth = generator.uniform(0.1, 0.6, size=(n_states, n_bins))  # no action is worth more than 0.6
    bins = torch.from_numpy(generator.integers(n_likely, size=(n_states, rows)))
    states = torch.arange(n_states)[:, None].expand(-1, rows)
    targets = torch.from_numpy(np.take_along_axis(worth, bins.numpy(), axis=1)).float()

    def behavior(log_pi):
        return behavior_loss(log_pi[states], bins, torch.ones(n_states))[0]

    def likelihood_model(log_p):
        return q_loss(log_p[states], bins, targets, remainder="dummy")[0]

    log_pi = fitted(behavior, n_states, n_bins, seed=1)
    log_p = fitted(likelihood_model, n_states, n_bins + 1, seed=2)
    literal = max_ratio(log_p, log_pi, support=0.0, clip=True)
    limited = max_ratio(log_p, log_pi, support=0.3, clip=True)
    best = torch.from_numpy(worth[:, :n_likely].max(1)).float()
    assert (literal > 0.999).all()
    assert (limited - best).abs().max() < 0.05
    logged_value = torch.from_numpy(targets.numpy().mean(1))
    assert (value_from_dummy(log_p) - logged_value).abs().max() < 0.02


def test_the_dummy_remainder_is_exact_and_the_uniform_one_is_off_by_less_than_one_over_the_other_bins():
    leaks = []
    for n_bins in (8, 32, 256):
        generator = np.random.default_rng(n_bins)
        pi, worth = np.zeros(n_bins), generator.uniform(size=n_bins)
        pi[:4] = generator.dirichlet(np.ones(4))
        leak = uniform_optimum(pi, worth) - pi * worth
        assert (leak >= -1e-15).all()
        assert leak.max() <= 1 / (n_bins - 1)
        leaks.append(leak.max())
        exact = torch.from_numpy(np.append(pi * worth, 1 - pi @ worth)).log()
        ratio = log_likelihood_ratio(exact, torch.from_numpy(pi).log(), clip=False).exp().numpy()
        assert np.abs(ratio[:4] - worth[:4]).max() < 1e-15
    assert leaks[0] > 10 * leaks[2]


def chain(seed, *, length=4, n_bins=16):
    """A chain to success: action a at step s goes on with probability survives[s, a], and fails otherwise."""
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.full(n_bins, 0.3), size=length), generator.uniform(0.5, 1, size=(length, n_bins))


def chance_of_success(policy, survives):
    return math.prod((policy * survives).sum(axis=1))


@pytest.mark.parametrize("backup", ["behavior", "max"])
def test_ratio_extraction_beats_the_printed_one_where_p_is_dominated_by_pi(backup):
    support, results = 0.3, []
    for seed in range(20):
        pi, survives = chain(seed)
        competing = pi >= support / pi.shape[1]
        later, q = 1.0, np.zeros_like(pi)
        for step in reversed(range(len(pi))):
            q[step] = survives[step] * later
            later = q[step][competing[step]].max() if backup == "max" else pi[step] @ q[step]
        p = np.concatenate([pi * q, 1 - (pi * q).sum(1, keepdims=True)], axis=1)
        extracted = [
            EXTRACTIONS[name](
                torch.from_numpy(p).log(),
                torch.from_numpy(pi).log(),
                inverse_temperature=64.0,
                temperature=1.0,
                support=support,
            )
            for name in ("likelihood", "ratio")
        ]
        best = math.prod(np.where(competing, survives, 0).max(axis=1))
        policies = [pi, *(log_policy.exp().numpy() for log_policy in extracted)]
        results.append([*(chance_of_success(policy, survives) for policy in policies), best])
    behavior, printed, ratio, best = np.mean(results, axis=0)
    assert behavior == pytest.approx(0.31, abs=0.01)
    assert best == pytest.approx(0.76, abs=0.01)
    assert printed < behavior + 0.08
    assert ratio > best - 0.06


def test_on_successes_alone_without_discount_q_sft_is_sft():
    """Every target is one, so p_theta is pi_phi, every ratio is one, and no extraction can tell actions apart."""
    pi = torch.tensor([0.6, 0.3, 0.1])
    log_p, log_pi = torch.cat([pi, torch.zeros(1)]).log(), pi.log()
    loss_at_sft, _ = q_loss(log_p[None, None], torch.tensor([[1]]), torch.ones(1, 1), remainder="dummy")
    assert loss_at_sft.item() == pytest.approx(-math.log(0.3))
    plain = sft(log_pi, temperature=0.7, support=0.0)
    for name in ("ratio", "single"):
        extracted = EXTRACTIONS[name](log_p, log_pi, inverse_temperature=50.0, temperature=0.7, support=0.0)
        torch.testing.assert_close(extracted, plain)
