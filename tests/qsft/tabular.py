"""A small decision problem that is known completely: five states, actions of two tokens with three bins each.

Everything here is NumPy loops over the problem's own tables, independent of the library. The data set enumerates every
equally likely episode, so its frequencies are the probabilities and every expected value is exact.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

N_STATES, N_BINS, SLOTS, HORIZON, GAMMA = 5, 3, 4, 3, 0.9
SUCCESS, FAILURE = -1, -2
N_CONTEXTS = N_STATES * (1 + N_BINS)


def first_context(state):
    """Row of the tables for the first token at a state."""
    return state


def second_context(state, first_bin):
    """Row of the tables for the second token at a state."""
    return N_STATES + state * N_BINS + first_bin


@dataclass(frozen=True)
class Problem:
    """Behavior probabilities are multiples of 1/4; each action has two equally likely outcomes.

    Attributes:
        pi: (context, bin) behavior policy.
        outcomes: (state, first bin, second bin, 2): next state, or SUCCESS (reward 1), or FAILURE; both terminate.
    """

    pi: np.ndarray
    outcomes: np.ndarray


def make_problem(seed: int) -> Problem:
    generator = np.random.default_rng(seed)
    pi = np.stack([generator.permutation([(2, 1, 1), (3, 1, 0)][generator.integers(2)]) for _ in range(N_CONTEXTS)])
    later = {0: [1, 2], 1: [3, 4], 2: [3, 4], 3: [], 4: []}
    outcomes = np.array(
        [
            [
                [generator.choice([SUCCESS, FAILURE, FAILURE, *later[s], *later[s]], size=2) for _ in range(N_BINS)]
                for _ in range(N_BINS)
            ]
            for s in range(N_STATES)
        ]
    )
    return Problem(pi / SLOTS, outcomes)


@dataclass(frozen=True)
class Solution:
    """Q-values per (context, bin) and values per context; `value[:N_STATES]` are those of the states."""

    q: np.ndarray
    value: np.ndarray


def solve(problem: Problem, choose) -> Solution:
    """Solve backwards; `choose(context, q of its bins)` is the value of a context: an average or a maximum."""
    q, value = np.zeros((N_CONTEXTS, N_BINS)), np.zeros(N_CONTEXTS)
    for state in reversed(range(N_STATES)):
        for first in range(N_BINS):
            context = second_context(state, first)
            for second in range(N_BINS):
                worth = [_worth(outcome, value) for outcome in problem.outcomes[state, first, second]]
                q[context, second] = sum(worth) / 2
            value[context] = choose(context, q[context])
            q[state, first] = value[context]
        value[state] = choose(state, q[state])
    return Solution(q, value)


def _worth(outcome: int, value: np.ndarray) -> float:
    if outcome == SUCCESS:
        return 1.0
    return 0.0 if outcome == FAILURE else GAMMA * value[outcome]


def behavior_solution(problem: Problem) -> Solution:
    """Policy evaluation."""
    return solve(problem, lambda context, q: float(problem.pi[context] @ q))


def optimal_solution(problem: Problem, floor: float) -> Solution:
    """Value iteration over the bins whose behavior probability is positive and at least `floor`, or the largest."""

    def best(context, q):
        pi = problem.pi[context]
        return max(q[b] for b in range(N_BINS) if pi[b] > 0 and (pi[b] >= floor or pi[b] == pi.max()))

    return solve(problem, best)


def uniform_optimum(pi: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """p(a) = pi(a) w(a) + sum_{b != a} pi(b) (1 - w(b)) / (n - 1): where the uniform remainder ends, term by term."""
    p = pi * weight
    for a, b in itertools.permutations(range(len(pi)), 2):
        p[a] += pi[b] * (1 - weight[b]) / (len(pi) - 1)
    return p


@dataclass(frozen=True)
class Steps:
    """Every control step of every equally likely episode; equal steps are one row and a count.

    Attributes:
        count: how many steps this row stands for.
        state, bins, reward, terminated, next_state: one row per step; `next_state` repeats the state after the end.
        returns: discounted return from the step on.
        two_step_reward, two_step_discount, two_step_terminated, two_step_state: the same over up to two steps.
    """

    count: np.ndarray
    state: np.ndarray
    bins: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    next_state: np.ndarray
    returns: np.ndarray
    two_step_reward: np.ndarray
    two_step_discount: np.ndarray
    two_step_terminated: np.ndarray
    two_step_state: np.ndarray


def enumerate_steps(problem: Problem) -> Steps:
    """Roll out all 32**3 combinations of bin slots and outcomes."""
    slots = np.array([[b for b in range(N_BINS) for _ in range(round(SLOTS * p[b]))] for p in problem.pi])
    draws = np.array(list(itertools.product(range(SLOTS), range(SLOTS), range(2))))
    choice = np.array(list(itertools.product(range(len(draws)), repeat=HORIZON)))
    state, alive = np.zeros(len(choice), dtype=int), np.ones(len(choice), dtype=bool)
    rows = []
    for step in range(HORIZON):
        first_slot, second_slot, outcome_slot = draws[choice[:, step]].T
        first = slots[first_context(state), first_slot]
        second = slots[second_context(state, first), second_slot]
        outcome = problem.outcomes[state, first, second, outcome_slot]
        next_state = np.where(outcome < 0, state, outcome)
        rows.append((alive, state, np.stack([first, second], 1), outcome == SUCCESS, outcome < 0, next_state))
        alive, state = alive & (outcome >= 0), next_state
    assert not alive.any()
    alive, state, bins, success, terminated, next_state = (np.stack(column) for column in zip(*rows, strict=True))
    reward = success.astype(float)
    returns = reward.copy()
    two_reward, two_discount = reward.copy(), np.full(reward.shape, GAMMA)
    two_terminated, two_state = terminated.copy(), next_state.copy()
    for step in reversed(range(HORIZON - 1)):
        goes_on = ~terminated[step]
        returns[step] += GAMMA * goes_on * returns[step + 1]
        two_reward[step] += GAMMA * goes_on * reward[step + 1]
        two_discount[step] = np.where(goes_on, GAMMA**2, GAMMA)
        two_terminated[step] |= terminated[step + 1]
        two_state[step] = np.where(goes_on, next_state[step + 1], next_state[step])
    columns = (state, reward, terminated, next_state, returns, two_reward, two_discount, two_terminated, two_state)
    table = np.stack([bins[alive][:, 0], bins[alive][:, 1], *(column[alive] for column in columns)], 1)
    rows, count = np.unique(table, axis=0, return_counts=True)
    first, second, state, *rest = rows.T
    reward, terminated, next_state, returns, two_reward, two_discount, two_terminated, two_state = rest
    return Steps(
        count=count,
        state=state.astype(int),
        bins=np.stack([first, second], 1).astype(int),
        reward=reward,
        terminated=terminated.astype(bool),
        next_state=next_state.astype(int),
        returns=returns,
        two_step_reward=two_reward,
        two_step_discount=two_discount,
        two_step_terminated=two_terminated.astype(bool),
        two_step_state=two_state.astype(int),
    )
