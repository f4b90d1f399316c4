"""Texts as tokens: the mask of the actions, contexts, and what a policy is asked with."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.dialogue import CharacterTokenizer, Conversation, Message, PlainRenderer, prompt_tokens, tokenize
from vlm_qsft.dialogue.tokenizers import TextTokenizer
from vlm_qsft.errors import DatasetError, ShapeMismatch, UnknownName

TOKENIZER = CharacterTokenizer("\nabxy")
RENDERER = PlainRenderer(TOKENIZER)
CONVERSATION = Conversation(
    (
        Message("environment", "xy"),
        Message("assistant", "a\n", -1.0),
        Message("environment", "y"),
        Message("assistant", "ab\n", 0.5),
        Message("environment", "x\n"),
    ),
    terminated=True,
)


def test_the_mask_holds_every_token_of_the_action_texts_and_no_other() -> None:
    tokenized = tokenize(CONVERSATION, RENDERER)
    assert TOKENIZER.decode(tokenized.token_ids.tolist()) == "xya\nyab\nx\n"
    assert tokenized.turn.tolist() == [-1, -1, 0, 0, -1, 1, 1, 1, -1, -1]
    assert TOKENIZER.decode(tokenized.token_ids[tokenized.is_action].tolist()) == "a\nab\n"
    assert (tokenized.first_tokens.tolist(), tokenized.last_tokens.tolist()) == ([2, 5], [3, 7])
    assert tokenized.reward.tolist() == [-1.0, 0.5]


def test_a_context_of_one_turn_begins_anew_with_every_observation() -> None:
    tokenized = tokenize(CONVERSATION, RENDERER, context_turns=1)
    assert tokenized.context.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert tokenized.turn.tolist() == [-1, -1, 0, 0, -1, 1, 1, 1, -1, -1]


@pytest.mark.parametrize("context_turns", [None, 1, 2, 3])
def test_a_policy_is_asked_with_what_stood_before_the_action_text_in_training(context_turns: int | None) -> None:
    tokenized = tokenize(CONVERSATION, RENDERER, context_turns=context_turns)
    messages = CONVERSATION.messages
    for turn, so_far in enumerate((messages[:1], messages[:3])):
        begin = tokenized.first_tokens[turn]
        seen = tokenized.token_ids[:begin][tokenized.context[:begin] == tokenized.context[begin]]
        asked = prompt_tokens(Conversation(so_far), RENDERER, context_turns=context_turns)
        np.testing.assert_array_equal(asked, seen)


def test_an_action_text_without_its_end_is_refused() -> None:
    for text in ("a", "a\nb\n", ""):
        conversation = Conversation((Message("environment", "x"), Message("assistant", text)), terminated=True)
        with pytest.raises(DatasetError, match="must end with its only"):
            tokenize(conversation, RENDERER)


def test_an_action_text_that_nothing_precedes_is_refused() -> None:
    conversation = Conversation((Message("assistant", "a\n"),), terminated=True)
    with pytest.raises(ShapeMismatch, match="a policy must see something"):
        tokenize(conversation, RENDERER)


def test_a_conversation_without_an_action_text_is_refused() -> None:
    with pytest.raises(DatasetError, match="no action text"):
        tokenize(Conversation((Message("environment", "x"),), truncated=True), RENDERER)


def test_a_character_outside_of_the_alphabet_is_named() -> None:
    with pytest.raises(UnknownName, match="'z' is not known in the alphabet"):
        TOKENIZER.encode("xz")


def test_the_alphabet_of_texts_holds_their_characters_sorted() -> None:
    fitted = CharacterTokenizer.fit(["banana", "cab\n"])
    assert fitted.alphabet == "\nabcn"
    assert isinstance(fitted, TextTokenizer)
    assert CharacterTokenizer.from_json(fitted.to_json()) == fitted
