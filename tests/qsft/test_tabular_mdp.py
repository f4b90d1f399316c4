"""Every backup with every remainder, against Q-values known from value iteration and policy evaluation."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from vlm_qsft.qsft import (
    BACKUPS,
    BackupInputs,
    BackupSettings,
    log_likelihood_ratio,
    q_loss,
    value_from_dummy,
    value_from_overlap,
)

from . import tabular
from .tabular import GAMMA, N_BINS, N_CONTEXTS, N_STATES

SEEDS = [0, 1, 2]
EXACT = 1e-12
SUPPORT = 0.9  # of 1/3: bins of probability 1/4 are out
ALL_BACKUPS = sorted(BACKUPS)


@functools.cache
def problem_and_steps(seed):
    problem = tabular.make_problem(seed)
    return problem, tabular.enumerate_steps(problem)


def contexts_of(steps):
    return np.stack([steps.state, tabular.second_context(steps.state, steps.bins[:, 0])], 1)


def exact_optimum(contexts, bins, count, targets, remainder):
    """Return the p_theta table that minimises the expected loss, by counting labels."""
    labels = np.zeros((N_CONTEXTS, N_BINS + 1))
    given, rest = targets * count[:, None], (1 - targets) * count[:, None]
    np.add.at(labels, (contexts, bins), given)
    if remainder == "dummy":
        np.add.at(labels, (contexts, N_BINS), rest)
    else:
        for shift in range(1, N_BINS):
            np.add.at(labels, (contexts, (bins + shift) % N_BINS), rest / (N_BINS - 1))
    labels[labels.sum(1) == 0] = 1  # never visited: stays where it started
    return labels / labels.sum(1, keepdims=True)


def fixed_point(seed, backup, remainder, *, support=0.0):
    """Repeat backup and exact fit until nothing changes; the problem ends after six tokens, so it does."""
    problem, steps = problem_and_steps(seed)
    contexts = contexts_of(steps)
    log_pi = torch.from_numpy(problem.pi).log()
    two = "two_step_" if backup == "nstep" else ""
    after = torch.from_numpy(steps.two_step_state if backup == "nstep" else steps.next_state)
    discount = torch.from_numpy(steps.two_step_discount) if two else torch.full((len(after),), GAMMA).double()
    terminated = torch.from_numpy(getattr(steps, f"{two}terminated"))
    settings = BackupSettings(remainder=remainder, support=support, clip=True, reward_rule="binary01")
    table = np.full((N_CONTEXTS, N_BINS + 1), 1 / (N_BINS + 1))
    for _ in range(8):
        log_p = torch.from_numpy(table).log()
        targets = BACKUPS[backup].targets(
            BackupInputs(
                n_tokens=2,
                returns=torch.from_numpy(steps.returns),
                reward=torch.from_numpy(getattr(steps, f"{two}reward")),
                discount=discount,
                bootstrap_mask=~terminated,
                log_p_next=log_p[after],
                log_pi_next=log_pi[after],
                log_p=log_p[contexts],
                log_pi=log_pi[contexts],
            ),
            settings,
        )
        previous, table = table, exact_optimum(contexts, steps.bins, steps.count, targets.numpy(), remainder)
    assert np.allclose(previous, table, atol=EXACT)
    return problem, torch.from_numpy(table).log(), log_pi


@pytest.mark.parametrize("seed", SEEDS)
def test_the_enumerated_steps_have_the_frequencies_of_the_behavior_policy(seed):
    problem, steps = problem_and_steps(seed)
    counts = np.zeros((N_CONTEXTS, N_BINS))
    np.add.at(counts, (contexts_of(steps), steps.bins), steps.count[:, None])
    visited = counts.sum(1) > 0
    assert visited[:N_STATES].all()
    assert np.allclose((counts[visited].T / counts[visited].sum(1)).T, problem.pi[visited])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_problem_leaves_room_between_the_logs_and_the_optimum(seed):
    problem, _ = problem_and_steps(seed)
    assert tabular.optimal_solution(problem, 0).value[0] > tabular.behavior_solution(problem).value[0] + 0.2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backup", ALL_BACKUPS)
def test_dummy_remainder_is_exact_for_every_backup(backup, seed):
    problem, log_p, log_pi = fixed_point(seed, backup, "dummy")
    known = tabular.optimal_solution(problem, 0) if backup == "max" else tabular.behavior_solution(problem)
    chosen, visited = visited_bins(problem, seed)
    ratio = log_likelihood_ratio(log_p, log_pi, clip=False).exp().numpy()
    assert np.allclose(ratio[chosen], known.q[chosen], atol=EXACT)
    average = (problem.pi * known.q).sum(1)
    assert np.allclose(value_from_dummy(log_p).numpy()[visited], average[visited], atol=EXACT)


@pytest.mark.parametrize("seed", SEEDS)
def test_max_backup_is_value_iteration_over_the_support(seed):
    problem, log_p, log_pi = fixed_point(seed, "max", "dummy", support=SUPPORT)
    known = tabular.optimal_solution(problem, SUPPORT / N_BINS)
    chosen, _ = visited_bins(problem, seed)
    assert np.allclose(log_likelihood_ratio(log_p, log_pi, clip=True).exp().numpy()[chosen], known.q[chosen])
    assert known.value[0] < tabular.optimal_solution(problem, 0).value[0]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backup", ALL_BACKUPS)
def test_uniform_remainder_ends_where_the_leak_of_each_backup_says(backup, seed):
    problem, log_p, _ = fixed_point(seed, backup, "uniform")
    expected = expected_uniform_table(problem, backup)
    _, visited = visited_bins(problem, seed)
    assert np.allclose(log_p.exp().numpy()[visited, :N_BINS], expected[visited], atol=EXACT)
    assert np.allclose(log_p.exp().numpy()[visited, N_BINS], 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backup", ["behavior", "nstep", "max"])
def test_uniform_remainder_never_undervalues(backup, seed):
    problem, log_p, log_pi = fixed_point(seed, backup, "uniform")
    known = tabular.optimal_solution(problem, 0) if backup == "max" else tabular.behavior_solution(problem)
    _, visited = visited_bins(problem, seed)
    p = log_p.exp().numpy()[:, :N_BINS]
    assert (p >= problem.pi * known.q - EXACT)[visited].all()  # the lower bound of Theorem 4.1, arXiv 2411.05193
    overlap = value_from_overlap(log_p, log_pi).numpy()
    assert (overlap >= (problem.pi * known.q).sum(1) - EXACT)[visited].all()


def test_uniform_remainder_leaves_the_value_undetermined():
    pi = np.array([0.5, 0.3, 0.2])
    weight = np.array([0.1, 0.6, 0.4])
    shifted = weight + 0.05 / pi  # pi * w moves by the same amount everywhere
    assert np.allclose(tabular.uniform_optimum(pi, weight), tabular.uniform_optimum(pi, shifted))
    assert pi @ shifted == pytest.approx(pi @ weight + 0.15)


def test_uniform_remainder_overvalues_an_action_worth_nothing():
    """The upper bound of Theorem 4.1 as quoted, p_theta <= Q*, cannot hold for it."""
    p = tabular.uniform_optimum(np.array([0.5, 0.3, 0.2]), np.array([0.0, 0.6, 0.4]))
    assert p[0] == pytest.approx((0.3 * 0.4 + 0.2 * 0.6) / 2)


@pytest.mark.parametrize("remainder", ["dummy", "uniform"])
def test_the_loss_is_stationary_at_the_counted_optimum(remainder):
    """The loss is convex in the logits, so stationary is optimal."""
    _, steps = problem_and_steps(0)
    contexts, bins = contexts_of(steps), steps.bins  # every row once: another data set, which knows its own counts
    targets = np.repeat(steps.returns[:, None], 2, axis=1)
    optimum = exact_optimum(contexts, bins, np.ones(len(bins)), targets, remainder)
    logits = torch.from_numpy(optimum).clamp(min=1e-15).log().requires_grad_()

    def loss_at(table):
        log_p = table.log_softmax(-1)[contexts]
        return q_loss(log_p, torch.from_numpy(bins), torch.from_numpy(targets), remainder=remainder)[0]

    loss = loss_at(logits)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-12
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        assert loss_at(logits + 0.1 * torch.randn(logits.shape, generator=generator)) > loss


def visited_bins(problem, seed):
    """Bins that the data set holds (context, bin), and the contexts among them."""
    _, steps = problem_and_steps(seed)
    visited = np.isin(np.arange(N_CONTEXTS), contexts_of(steps))
    return (problem.pi > 0) & visited[:, None], visited


def expected_uniform_table(problem, backup):
    """Solve backwards with the leak of the uniform remainder, in loops."""
    p, value = np.zeros((N_CONTEXTS, N_BINS)), np.zeros(N_CONTEXTS)
    realised = tabular.behavior_solution(problem)

    def read(context):
        pi = problem.pi[context]
        pairs = [(pi[b], min(1.0, p[context, b] / pi[b])) for b in range(N_BINS) if pi[b] > 0]
        return max(q for _, q in pairs) if backup == "max" else sum(probability * q for probability, q in pairs)

    def two_steps(state, first, second, steps_left):
        total = 0.0
        for outcome in problem.outcomes[state, first, second]:
            if outcome == tabular.SUCCESS:
                total += 0.5
            elif outcome != tabular.FAILURE:
                total += 0.5 * GAMMA * (value[outcome] if steps_left == 1 else average_action(outcome))
        return total

    def average_action(state):
        total = 0.0
        for first in range(N_BINS):
            for second in range(N_BINS):
                chance = problem.pi[state, first] * problem.pi[tabular.second_context(state, first), second]
                total += chance * two_steps(state, first, second, 1)
        return total

    for state in reversed(range(N_STATES)):
        first_weight = np.zeros(N_BINS)
        for first in range(N_BINS):
            context = tabular.second_context(state, first)
            horizon = 2 if backup == "nstep" else 1
            weight = np.array([two_steps(state, first, second, horizon) for second in range(N_BINS)])
            if backup == "monte_carlo":
                weight = realised.q[context]
            p[context] = tabular.uniform_optimum(problem.pi[context], weight)
            past_the_action = backup in ("monte_carlo", "nstep")
            first_weight[first] = problem.pi[context] @ weight if past_the_action else read(context)
        p[state] = tabular.uniform_optimum(problem.pi[state], first_weight)
        value[state] = read(state)
    return p
