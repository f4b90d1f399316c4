"""Token-level transitions of a conversation: every action token is a decision of its own, turns are what is discounted.

    token i < last of an action text:   target = V(s, a_1 .. a_i)                              no reward, no discount
    last token:                         target = r + gamma * bootstrap_mask * V(s')            s' = before the next text

The next state lies behind whatever is observed between two action texts, however long that is. A state is named by the
index of the last token that is seen in it: the logits there are those of the next token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vlm_qsft.data.returns import check_returns, episode_returns
from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tokenized import TokenizedConversation
from vlm_qsft.training.transition_table import transition_table


@dataclass(frozen=True)
class TokenTransitions:
    """One row per action token.

    Attributes:
        token: index of the token.
        state: index of the state in which it was chosen, the token before it.
        next_state: index of the state that its target bootstraps from.
        reward: discounted sum of the scaled rewards up to there; on the last token of an action text alone, or for
            `horizon` turns on every token.
        discount: gamma to the number of turns up to there; 1 inside an action text.
        bootstrap_mask: False where the conversation terminated before that state.
        returns: Monte-Carlo return of the scaled rewards from the token's turn on.
    """

    token: Int64[np.ndarray, " action_token"]
    state: Int64[np.ndarray, " action_token"]
    next_state: Int64[np.ndarray, " action_token"]
    reward: Float32[np.ndarray, " action_token"]
    discount: Float32[np.ndarray, " action_token"]
    bootstrap_mask: Bool[np.ndarray, " action_token"]
    returns: Float32[np.ndarray, " action_token"]


def token_transitions(
    conversation: TokenizedConversation, scale: RewardScale, *, gamma: float, horizon: int | None = None
) -> TokenTransitions:
    """Return the transitions of a conversation.

    Args:
        gamma: discount per turn.
        horizon: turns before bootstrapping, counted from the token's own: every token of an action text then has the
            same target. None is the one-token backup above.

    Raises:
        TargetOutOfRange: with this scale and gamma a return leaves [0, 1].
    """
    first, last = conversation.first_tokens, conversation.last_tokens
    n_turns = len(first)
    terminated = (np.arange(n_turns) == n_turns - 1) & conversation.terminated
    scaled = scale.scaled(conversation.reward.astype(np.float64), gamma=gamma, is_last=terminated).astype(np.float32)
    returns = episode_returns(scaled, gamma)
    remedy = f"Leave out the games whose discounted returns are not between {scale.low:g} and {scale.high:g}."
    check_returns(returns, reward_rule=scale.name, remedy=remedy)

    span = 1 if horizon is None else horizon
    turns = transition_table(scaled, terminated, np.full(n_turns, n_turns), gamma=gamma, horizon=span)
    # Before the next text; behind the last one, what is observed there. A recording that was cut off before that
    # bootstraps from the state it was cut off in.
    behind = len(conversation) - 1 if len(conversation) - 1 > last[-1] else first[-1] - 1
    next_state = np.append(first - 1, behind)[np.minimum(np.arange(n_turns) + span, n_turns)]

    token = np.flatnonzero(conversation.is_action)
    turn = conversation.turn[token]
    reaches_on = np.isin(token, last) if horizon is None else np.ones(len(token), bool)
    return TokenTransitions(
        token=token,
        state=token - 1,
        next_state=np.where(reaches_on, next_state[turn], token),
        reward=np.where(reaches_on, turns.reward[turn], np.float32(0.0)),
        discount=np.where(reaches_on, turns.discount[turn], np.float32(1.0)),
        bootstrap_mask=np.where(reaches_on, turns.bootstrap_mask[turn], True),
        returns=returns[turn],
    )
