"""Conversations: where rewards belong, and how they end."""

from __future__ import annotations

import pytest

from vlm_qsft.dialogue import Conversation, Message, conversation_from_texts
from vlm_qsft.errors import DatasetError, UnknownName


def test_a_reward_at_a_masked_observation_is_given_to_the_action_text_before_it() -> None:
    """Where only action tokens are trained on, a terminal reward that stands behind them would be lost."""
    texts = [("go\n", False), ("left\n", True), ("you win\n", False), ("bye\n", False)]
    conversation = conversation_from_texts(texts, [0.0, -1.0, 0.0, 3.0], terminated=True)
    assert [message.reward for message in conversation.messages] == [0.0, 2.0, 0.0, 0.0]
    assert conversation.total_reward == 2.0


def test_a_reward_before_the_first_action_text_is_refused() -> None:
    with pytest.raises(DatasetError, match="no action text stands before it"):
        conversation_from_texts([("go\n", False), ("left\n", True)], [1.0, 0.0], terminated=True)


def test_a_reward_at_what_the_user_says_is_refused() -> None:
    with pytest.raises(DatasetError, match="'user' has the reward 1"):
        Message("user", "hello", 1.0)


def test_an_unknown_role_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="assistant, environment, system, user"):
        Message("robot", "hello")  # pyright: ignore[reportArgumentType]


def test_a_reward_that_is_no_number_is_refused() -> None:
    with pytest.raises(DatasetError, match="finite"):
        Message("assistant", "hello", float("nan"))


def test_a_conversation_is_not_terminated_and_truncated_at_once() -> None:
    with pytest.raises(DatasetError, match="not both"):
        Conversation((Message("user", "hello"),), terminated=True, truncated=True)


def test_turns_end_with_their_action_text_and_the_last_part_has_none() -> None:
    user, first, told, asked, second = (
        Message("user", "play"),
        Message("assistant", "left\n"),
        Message("environment", "wall\n"),
        Message("user", "and now?"),
        Message("assistant", "right\n"),
    )
    conversation = Conversation((user, first, told, asked, second, told))
    assert conversation.turns == ((user, first), (told, asked, second), (told,))
    assert conversation.actions == (first, second)
