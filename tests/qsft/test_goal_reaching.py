"""The method with learned networks: reach the middle of a square in moves of two tokens, logged by a bad driver.

Seven moves of ten are random, leaving the square fails, and no module but qsft is used. A table cannot show what
happens here: the noise of two trained softmaxes meets the maximum of the printed backup.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from vlm_qsft.qsft import (
    BACKUPS,
    BackupInputs,
    BackupSettings,
    TargetNetwork,
    behavior_loss,
    calibration,
    max_ratio,
    q_loss,
    ratio,
    sft,
    value_from_dummy,
)

N_BINS, STEPS, MOVE, GOAL_RADIUS, GAMMA = 32, 12, 0.15, 0.05, 0.95
EPISODES, UPDATES, BATCH = 4000, 300, 256


def advance(position, bins):
    position = position + MOVE * ((bins + 0.5) / N_BINS * 2 - 1)
    outside = ((position < 0) | (position > 1)).any(dim=1)
    reached = ~outside & ((position - 0.5).norm(dim=1) < GOAL_RADIUS)
    return position, reached, outside


@dataclass(frozen=True)
class Logs:
    position: Tensor
    bins: Tensor
    reward: Tensor
    terminated: Tensor
    next_position: Tensor
    returns: Tensor
    success_rate: float


def drive(choose, n_episodes, generator):
    """Roll out episodes together; return one row of columns per step and who reached the goal."""
    position = torch.rand(n_episodes, 2, generator=generator)
    alive, success, rows = torch.ones(n_episodes, dtype=torch.bool), torch.zeros(n_episodes, dtype=torch.bool), []
    for _ in range(STEPS):
        bins = choose(position)
        after, reached, outside = advance(position, bins)
        rows.append((alive, position, bins, reached.float(), reached | outside, after))
        success = success | (alive & reached)
        alive, position = alive & ~(reached | outside), torch.where(alive[:, None], after, position)
    return rows, success


def record():
    generator = torch.Generator().manual_seed(0)

    def bad_driver(position):
        towards = (0.5 - position) / MOVE
        towards = towards / towards.norm(dim=1, keepdim=True).clamp(min=1)
        careful = towards + 0.3 * torch.randn(towards.shape, generator=generator)
        careless = 2 * torch.rand(towards.shape, generator=generator) - 1
        is_careless = torch.rand(len(position), 1, generator=generator) < 0.7
        action = torch.where(is_careless, careless, careful).clamp(-1, 1)
        return ((action + 1) / 2 * N_BINS).long().clamp(0, N_BINS - 1)

    rows, success = drive(bad_driver, EPISODES, generator)
    alive, position, bins, reward, terminated, after = (torch.stack(column) for column in zip(*rows, strict=True))
    returns = reward.clone()
    for step in reversed(range(STEPS - 1)):
        returns[step] += GAMMA * ~terminated[step] * returns[step + 1]
    return Logs(
        position=position[alive],
        bins=bins[alive],
        reward=reward[alive],
        terminated=terminated[alive],
        next_position=after[alive],
        returns=returns[alive],
        success_rate=success.float().mean().item(),
    )


class TwoTokens(nn.Module):
    """p_theta over bins and dummy for both tokens of a move; pi_phi is the same without the dummy."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(18, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU())
        self.first_bin = nn.Embedding(N_BINS, 32)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, N_BINS + 1)) for width in (64, 96)
        )

    def forward(self, position, bins):
        waves = [turn(k * math.pi * position) for k in (1, 2, 4, 8) for turn in (torch.sin, torch.cos)]
        features = self.trunk(torch.cat([position, *waves], dim=1))
        second = torch.cat([features, self.first_bin(bins[:, 0])], dim=1)
        logits = torch.stack([self.heads[0](features), self.heads[1](second)], dim=1)
        dummy = logits[..., -1:]
        log_bins = nn.functional.logsigmoid(-dummy) + logits[..., :-1].log_softmax(-1)
        return torch.cat([log_bins, nn.functional.logsigmoid(dummy)], dim=-1)

    def behavior(self, position, bins):
        return self(position, bins)[..., :-1].log_softmax(-1)


def train(network, loss_of, after_update=lambda: None):
    generator = torch.Generator().manual_seed(1)
    optimiser = torch.optim.AdamW(network.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=UPDATES, pct_start=0.1)
    for _ in range(UPDATES):
        optimiser.zero_grad()
        loss_of(generator).backward()
        optimiser.step()
        schedule.step()
        after_update()


def train_behavior(logs):
    torch.manual_seed(0)
    network = TwoTokens()

    def loss_of(generator):
        rows = torch.randint(len(logs.bins), (BATCH,), generator=generator)
        log_pi = network.behavior(logs.position[rows], logs.bins[rows])
        return behavior_loss(log_pi, logs.bins[rows], torch.ones(BATCH))[0]

    train(network, loss_of)
    return network


def train_q(logs, behavior, backup, *, support):
    network = copy.deepcopy(behavior)
    for head in network.heads:
        nn.init.zeros_(head[-1].weight.data[N_BINS])
        nn.init.constant_(head[-1].bias.data[N_BINS], math.log(0.95 / 0.05))
    target = TargetNetwork(network, 0.02)
    settings = BackupSettings(remainder="dummy", support=support, clip=True, reward_rule="reached")

    def loss_of(generator):
        rows = torch.randint(len(logs.bins), (BATCH,), generator=generator)
        position, after, bins = logs.position[rows], logs.next_position[rows], logs.bins[rows]
        inputs = BackupInputs(n_tokens=2, returns=logs.returns[rows])
        if backup != "monte_carlo":
            with torch.no_grad():
                inputs = BackupInputs(
                    n_tokens=2,
                    reward=logs.reward[rows],
                    discount=torch.full((BATCH,), GAMMA),
                    bootstrap_mask=~logs.terminated[rows],
                    log_p_next=target.module(after, bins)[:, 0],
                    log_pi_next=behavior.behavior(after, bins)[:, 0],
                    log_p=target.module(position, bins),
                    log_pi=behavior.behavior(position, bins),
                )
        targets = BACKUPS[backup].targets(inputs, settings)
        return q_loss(network(position, bins), bins, targets, remainder="dummy")[0]

    train(network, loss_of, lambda: target.update(network))
    return network


@torch.no_grad()
def success_rate(distribution):
    """Share of 1000 starts, the same for every policy, that reach the goal."""
    generator = torch.Generator().manual_seed(7)

    def choose(position):
        bins = torch.zeros(len(position), 2, dtype=torch.long)
        for token in range(2):
            chances = distribution(position, bins)[:, token].exp()
            bins[:, token] = torch.multinomial(chances, 1, generator=generator).squeeze(1)
        return bins

    return drive(choose, 1000, generator)[1].float().mean().item()


@pytest.fixture(scope="module")
def logs():
    return record()


@pytest.fixture(scope="module")
def behavior(logs):
    return train_behavior(logs)


def test_q_sft_beats_the_logs_and_sft_with_monte_carlo_targets(logs, behavior):
    q_model = train_q(logs, behavior, "monte_carlo", support=0.3)

    def q_sft(position, bins):
        return ratio(
            q_model(position, bins),
            behavior.behavior(position, bins),
            inverse_temperature=32.0,
            temperature=1.0,
            support=0.3,
        )

    plain = success_rate(lambda p, b: sft(behavior.behavior(p, b), temperature=1.0, support=0.3))
    assert logs.success_rate < 0.5
    assert plain < 0.55
    assert success_rate(q_sft) > plain + 0.3
    values = value_from_dummy(q_model(logs.position, logs.bins)[:, 0])
    assert calibration(values, logs.returns).error < 0.05


def test_the_max_backup_of_learned_networks_values_states_above_what_any_policy_can_reach(logs, behavior):
    """Even with support and clip, and after three hundred updates only."""
    q_model = train_q(logs, behavior, "max", support=0.3)
    with torch.no_grad():
        log_p, log_pi = q_model(logs.position, logs.bins)[:, 0], behavior.behavior(logs.position, logs.bins)[:, 0]
    learned = max_ratio(log_p, log_pi, support=0.3, clip=True)
    # No coordinate changes by more than MOVE, and reaching the goal at the k-th move returns GAMMA**(k - 1).
    moves_needed = ((0.5 - logs.position).abs().amax(dim=1) - GOAL_RADIUS).div(MOVE).ceil().clamp(min=1)
    best_possible = GAMMA ** (moves_needed - 1)
    assert (learned > best_possible).float().mean() > 0.1
