"""The backups of robots on text: a token-level transition is a row with one token, and nothing else is new."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np
import pytest
import torch

from vlm_qsft.dialogue import (
    CharacterTokenizer,
    Conversation,
    Message,
    PlainRenderer,
    RewardScale,
    token_transitions,
    tokenize,
)
from vlm_qsft.qsft import BACKUPS, BackupInputs, BackupSettings

GAMMA = 0.8
REWARDS = {"aa": 0.9, "ab": 0.1, "ba": 0.4, "bb": 0.6}
"""Of the second action text, by both; all four games are logged equally often."""
TOKENIZER = CharacterTokenizer("\nabx")
State = tuple[int, ...]


def logged_games() -> list[Conversation]:
    return [
        Conversation(
            (
                Message("environment", "x"),
                Message("assistant", f"{first}\n"),
                Message("environment", "xx"),
                Message("assistant", f"{second}\n", REWARDS[first + second]),
                Message("environment", "x"),
            ),
            terminated=True,
        )
        for first, second in product("ab", repeat=2)
    ]


def fitted(backup: str, horizon: int | None) -> dict[tuple[State, int], float]:
    """Return Q of every logged state and token: tables, fitted exactly, until the targets stand still."""
    rows = []
    for game in logged_games():
        tokens = tokenize(game, PlainRenderer(TOKENIZER))
        transitions = token_transitions(tokens, RewardScale(0.0, 1.0), gamma=GAMMA, horizon=horizon)
        rows.append((tokens.token_ids.tolist(), transitions))
    q_values: dict[tuple[State, int], float] = {}
    value: dict[State, float] = defaultdict(float)
    settings = BackupSettings("dummy", support=0.0, clip=True, reward_rule="between(0, 1)")
    for _ in range(8):
        found: dict[tuple[State, int], list[float]] = defaultdict(list)
        for token_ids, transitions in rows:
            values = [value[tuple(token_ids[: place + 1])] for place in transitions.next_state]
            # One bin and the dummy token: 1 - p(dummy) is the value, and that is all that these backups read.
            next_log_p = torch.tensor([[v, 1.0 - v] for v in values], dtype=torch.float64).log().float()
            inputs = BackupInputs(
                1,
                returns=torch.from_numpy(transitions.returns),
                reward=torch.from_numpy(transitions.reward),
                discount=torch.from_numpy(transitions.discount),
                bootstrap_mask=torch.from_numpy(transitions.bootstrap_mask),
                log_p_next=next_log_p,
                log_p=next_log_p[:, None],
            )
            targets = BACKUPS[backup].targets(inputs, settings)
            assert targets.shape == (len(transitions.token), 1)
            for place, target in zip(transitions.token, targets[:, 0].tolist(), strict=True):
                found[tuple(token_ids[:place]), token_ids[place]].append(target)
        q_values = {key: float(np.mean(targets)) for key, targets in found.items()}
        by_state = defaultdict(list)
        for (state, token), targets in found.items():
            by_state[state] += [q_values[state, token]] * len(targets)  # pi_beta: as often as it was logged
        value = defaultdict(float, {state: float(np.mean(values)) for state, values in by_state.items()})
    return q_values


@pytest.mark.parametrize(("backup", "horizon"), [("behavior", None), ("nstep", 1), ("nstep", 2), ("monte_carlo", None)])
def test_every_backup_finds_the_value_of_the_logged_players(backup: str, horizon: int | None) -> None:
    q_values = fitted(backup, horizon)
    for first in "ab":
        # The second text is drawn at random, one discount away; its own tokens are not discounted.
        expected = GAMMA * (REWARDS[first + "a"] + REWARDS[first + "b"]) / 2
        letters = f"x{first}\nxx"
        assert q_values[encoded("x"), encoded(first)[0]] == pytest.approx(expected, abs=1e-6)
        assert q_values[encoded(f"x{first}"), encoded("\n")[0]] == pytest.approx(expected, abs=1e-6)
        for second in "ab":
            assert q_values[encoded(letters), encoded(second)[0]] == pytest.approx(REWARDS[first + second], abs=1e-6)
            assert q_values[encoded(letters + second), encoded("\n")[0]] == pytest.approx(
                REWARDS[first + second], abs=1e-6
            )


def encoded(text: str) -> State:
    return tuple(TOKENIZER.encode(text))
