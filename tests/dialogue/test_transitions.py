"""Token-level transitions: no discount inside an action text, and the next state behind what is observed."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.dialogue import (
    CharacterTokenizer,
    Conversation,
    Message,
    PlainRenderer,
    RewardScale,
    TokenTransitions,
    conversation_from_texts,
    token_transitions,
    tokenize,
)
from vlm_qsft.errors import TargetOutOfRange

RENDERER = PlainRenderer(CharacterTokenizer("\nabox"))
SCALE = RewardScale(-4.0, 0.0)
GAMMA = 0.5


def transitions(
    rewards: tuple[float, float], *, terminated: bool, tail: str = "x", **settings: int
) -> TokenTransitions:
    """Return those of `o|a\\n|xx|b\\n|` and a tail: tokens 1, 2 and 5, 6 are actions."""
    messages = (
        Message("environment", "o"),
        Message("assistant", "a\n", rewards[0]),
        Message("environment", "xx"),
        Message("assistant", "b\n", rewards[1]),
        *((Message("environment", tail),) if tail else ()),
    )
    conversation = Conversation(messages, terminated=terminated, truncated=not terminated)
    return token_transitions(tokenize(conversation, RENDERER), SCALE, gamma=GAMMA, **settings)


def test_inside_an_action_text_there_is_no_reward_and_no_discount() -> None:
    found = transitions((-1.0, 0.0), terminated=True)
    assert found.token.tolist() == [1, 2, 5, 6]
    assert found.state.tolist() == [0, 1, 4, 5]
    assert (found.reward[[0, 2]].tolist(), found.discount[[0, 2]].tolist()) == ([0.0, 0.0], [1.0, 1.0])
    assert found.next_state[[0, 2]].tolist() == [1, 5]
    assert found.bootstrap_mask[[0, 2]].all()


def test_the_last_token_of_an_action_text_bootstraps_from_behind_the_masked_observation() -> None:
    found = transitions((-1.0, 0.0), terminated=True)
    assert found.next_state[1] == 4  # the second x: there the next action text is chosen
    assert found.discount[1] == GAMMA
    # r' = (r - (1 - gamma) low) / (high - low) = (-1 + 0.5 * 4) / 4
    assert found.reward[1] == pytest.approx(0.25)


def test_the_terminal_reward_stands_at_the_last_action_token_although_an_observation_follows() -> None:
    found = transitions((-1.0, 0.0), terminated=True, tail="xxx")
    assert not found.bootstrap_mask[3]
    assert found.reward[3] == pytest.approx(1.0)
    # G' of the first turn: 0.25 + 0.5 * 1; every token of a turn has the return of the turn
    np.testing.assert_allclose(found.returns, [0.75, 0.75, 1.0, 1.0])


def test_a_terminal_reward_that_was_logged_at_the_observation_reaches_the_action_tokens() -> None:
    texts = [("o", False), ("a\n", True), ("x", False), ("b\n", True), ("xx", False)]
    at_action, at_observation = (
        token_transitions(
            tokenize(conversation_from_texts(texts, rewards, terminated=True), RENDERER),
            RewardScale(0.0, 1.0),
            gamma=GAMMA,
        )
        for rewards in ([0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0])
    )
    np.testing.assert_array_equal(at_observation.reward, [0.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(at_observation.reward, at_action.reward)
    np.testing.assert_array_equal(at_observation.returns, [0.5, 0.5, 1.0, 1.0])


def test_a_truncated_conversation_bootstraps_from_what_was_observed_last() -> None:
    found = transitions((-1.0, -1.0), terminated=False, tail="xo")
    assert found.bootstrap_mask.all()
    assert found.next_state[3] == 8
    assert found.discount[3] == GAMMA


def test_without_an_observation_after_the_cut_the_state_of_the_last_action_text_is_bootstrapped_from() -> None:
    found = transitions((-1.0, -1.0), terminated=False, tail="")
    assert found.next_state[3] == 4


def test_over_a_horizon_every_token_of_an_action_text_has_the_same_target() -> None:
    found = transitions((-1.0, 0.0), terminated=True, horizon=2)
    np.testing.assert_allclose(found.reward, [0.75, 0.75, 1.0, 1.0])
    assert found.discount.tolist() == [0.25, 0.25, 0.5, 0.5]
    assert not found.bootstrap_mask.any()
    one = transitions((-1.0, 0.0), terminated=True, horizon=1)
    assert one.next_state[:2].tolist() == [4, 4]
    assert one.bootstrap_mask.tolist() == [True, True, False, False]


def test_states_of_another_context_are_those_of_the_next_observation() -> None:
    messages = (Message("environment", "oo"), Message("assistant", "a\n"), Message("environment", "xx"))
    conversation = Conversation((*messages, Message("assistant", "b\n")), terminated=True)
    found = token_transitions(tokenize(conversation, RENDERER, context_turns=1), SCALE, gamma=GAMMA)
    assert found.next_state[1] == 5


def test_a_return_outside_of_the_scale_is_an_error_that_names_it() -> None:
    with pytest.raises(TargetOutOfRange, match=r"between\(-4, 0\)"):
        transitions((-9.0, 0.0), terminated=True)
