"""Pieces of texts as tokens: the logs' own words whole, everything else by character, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_qsft.dialogue import PieceTokenizer
from vlm_qsft.dialogue.tasks import LANGUAGE_TASKS, TUNING, game_generator, language_task, play
from vlm_qsft.errors import InvalidSetting, ShapeMismatch, UnknownName

TOKENIZER = PieceTokenizer.fit(["move left\n", "c r a n e\n", "at 8, 6. a_b\t"])


def test_words_numbers_and_marks_are_one_token_each_with_the_blank_before_them() -> None:
    pieces = [TOKENIZER.vocabulary[token] for token in TOKENIZER.encode("move left\nc r at 8, 6. a_b\t")]
    assert pieces == ["move", " left", "\n", "c", " r", " ", "a", "t", " 8", ",", " 6", ".", " a", "_", "b", "\t"]


def test_a_word_that_was_not_logged_goes_character_by_character() -> None:
    assert [TOKENIZER.vocabulary[token] for token in TOKENIZER.encode("love")] == ["l", "o", "v", "e"]
    with pytest.raises(UnknownName, match="'z'"):
        TOKENIZER.encode("maze")


@given(st.text(alphabet=sorted(set("move left\nc r a n e at 8, 6. a_b\t"))))
def test_every_text_of_known_characters_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert PieceTokenizer.from_json(TOKENIZER.to_json()).encode(text) == TOKENIZER.encode(text)


@pytest.mark.parametrize("name", LANGUAGE_TASKS)
def test_the_end_of_an_action_text_is_a_token_of_its_own_in_every_task(name: str) -> None:
    task = language_task(name)
    game = play(task, lambda _: task.logged_action(), game_generator(name, TUNING, 0))
    tokenizer = PieceTokenizer.fit(message.text for message in game.messages)
    (end,) = tokenizer.encode(task.end)
    for action in game.actions:
        tokens = tokenizer.encode(action.text)
        assert tokens[-1] == end and end not in tokens[:-1]


def test_what_is_no_vocabulary_and_what_is_no_token_are_refused() -> None:
    for vocabulary in ((), ("a", "a"), ("a", "")):
        with pytest.raises(InvalidSetting, match="every token once"):
            PieceTokenizer(vocabulary)
    with pytest.raises(ShapeMismatch, match="got 99"):
        TOKENIZER.decode([0, 99])
