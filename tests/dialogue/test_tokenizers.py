"""Pieces of texts as tokens: the logs' own words whole, everything else by character, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_qsft.dialogue import PieceTokenizer, PlainRenderer
from vlm_qsft.dialogue.tasks import LANGUAGE_TASKS, TUNING, game_generator, language_task, play
from vlm_qsft.dialogue.tasks.chess_endgames import ChessEndgames, spaced
from vlm_qsft.dialogue.tasks.lone_king import Position
from vlm_qsft.dialogue.tasks.wordle import Wordle
from vlm_qsft.dialogue.text_format import FORMAT_NAME, TextFormat
from vlm_qsft.errors import CheckpointError, InvalidSetting, ShapeMismatch, UnknownName

TOKENIZER = PieceTokenizer.fit(["move left\n", "c r a n e\n", "at 8, 6. a_b\t"])


def test_words_numbers_and_marks_are_one_token_each_with_the_blank_before_them() -> None:
    pieces = [TOKENIZER.vocabulary[token] for token in TOKENIZER.encode("move left\nc r at 8, 6. a_b\t")]
    assert pieces == ["move", " left", "\n", "c", " r", " ", "a", "t", " 8", ",", " 6", ".", " a", "_", "b", "\t"]


def test_a_word_that_was_not_logged_goes_character_by_character() -> None:
    assert [TOKENIZER.vocabulary[token] for token in TOKENIZER.encode("love")] == ["l", "o", "v", "e"]
    with pytest.raises(UnknownName, match="'z'") as refused:
        TOKENIZER.encode("maze")
    assert "move" not in str(refused.value), "a list of characters, not of all tokens"


@given(st.text(alphabet=sorted(set("move left\nc r a n e at 8, 6. a_b\t"))))
def test_every_text_of_known_characters_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert PieceTokenizer.from_json(TOKENIZER.to_json()).encode(text) == TOKENIZER.encode(text)


@pytest.mark.parametrize("name", LANGUAGE_TASKS)
def test_every_action_text_of_every_task_ends_with_its_only_token_that_ends(name: str) -> None:
    task = language_task(name)
    game = play(task, lambda _: task.logged_action(), game_generator(name, TUNING, 0))
    texts = [message.text for message in game.messages]
    tokenizer = PieceTokenizer.fit(texts, pattern=task.pieces)
    renderer = PlainRenderer(tokenizer, task.end)
    for action in game.actions:
        tokens = tokenizer.encode(action.text)
        assert [renderer.is_end(token) for token in tokens] == [False] * (len(tokens) - 1) + [True]
    assert not [piece for piece in tokenizer.vocabulary if task.end in piece[:-1]], "an end inside of a token"
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_pattern_makes_larger_pieces_and_what_they_consist_of_is_known() -> None:
    tokenizer = PieceTokenizer.fit(["c r a n e\n", "b b y g b\n", "at 8\n"], pattern=Wordle.pieces)
    pieces = [tokenizer.vocabulary[token] for token in tokenizer.encode("c r a n e\nat 8\nb b y g b\n")]
    assert pieces == ["c r a n e\n", "at", " 8", "\n", "b b y g b\n"]
    assert Wordle.parts("c r a n e\n") == ["c", " r", " a", " n", " e", "\n"]
    assert Wordle.parts(" 8") == [" 8"]
    # What was never logged goes by character, as long as every character was.
    assert [tokenizer.vocabulary[token] for token in tokenizer.encode("a a a a a\n")] == [*"a a a a a\n"]
    again = PieceTokenizer.from_json(tokenizer.to_json())
    assert again == tokenizer and again.encode("c r a n e\n") == tokenizer.encode("c r a n e\n")
    assert PieceTokenizer.from_json({"vocabulary": ["a"]}) == PieceTokenizer(("a",))


@pytest.mark.parametrize("pattern", ["(", "(a)", "a*", 7, None])
def test_a_format_with_a_pattern_that_is_none_is_refused(tmp_path: Path, pattern: object) -> None:
    game = play(Wordle(), lambda _: "c r a n e\n", game_generator("wordle", TUNING, 0))
    record = json.loads(TextFormat.fit("wordle", [game]).to_json())
    record["renderer"]["pieces"]["pattern"] = pattern
    (tmp_path / FORMAT_NAME).write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="does not describe a text format"):
        TextFormat.read(tmp_path)


@pytest.mark.parametrize("name", LANGUAGE_TASKS)
def test_only_tasks_with_larger_pieces_have_tokens_of_several_parts(name: str) -> None:
    task = language_task(name)
    game = play(task, lambda _: task.logged_action(), game_generator(name, TUNING, 0))
    parts = TextFormat.fit(name, [game]).parts
    assert parts is not None
    assert any(len(of_token) > 1 for of_token in parts) == bool(task.pieces)


@pytest.mark.parametrize("name", LANGUAGE_TASKS)
def test_no_two_tokens_have_the_same_parts(name: str) -> None:
    task = language_task(name)
    games = [play(task, lambda _: task.logged_action(), game_generator(name, TUNING, game)) for game in range(30)]
    parts = TextFormat.fit(name, games).parts
    assert parts is not None
    assert len({tuple(of_token) for of_token in parts}) == len(parts)


def test_a_rank_of_a_board_is_its_squares_and_a_move_is_whole() -> None:
    position = Position(white_king=0, pieces=(("R", 7), ("R", 63)), black_king=21, quiet_moves=12, number=107)
    tokenizer = PieceTokenizer.fit([spaced(position.fen())], pattern=ChessEndgames.pieces)
    tokens = [tokenizer.vocabulary[token] for token in tokenizer.encode(spaced(position.fen()))]
    assert tokens == ["7 R", *[" / 8"] * 4, " / 5 k 2", " / 8", " / K 6 R", "   w   -   -   1 2   1 0 7\n"]
    assert ChessEndgames.parts("7 R") == [*".......R"]
    assert ChessEndgames.parts(" / K 6 R") == [*"K......R", "/"]
    assert ChessEndgames.parts(tokens[-1]) == ["w", "-", "-", "1 2", "1 0 7"]
    for move in ("Kd4", "Rad4", "R1d4+", "Qh8#"):
        tokenizer = PieceTokenizer.fit([spaced(move)], pattern=ChessEndgames.pieces)
        assert [tokenizer.vocabulary[token] for token in tokenizer.encode(spaced(move))] == [spaced(move)]
        assert ChessEndgames.parts(spaced(move)) == [spaced(move)]
    for character in "8KQR/w ":
        assert ChessEndgames.parts(character) == ([*"........"] if character == "8" else [character])


def test_patterns_that_are_none_are_refused() -> None:
    for pattern in ("(a)", "a*", "["):
        with pytest.raises(InvalidSetting, match="pattern"):
            PieceTokenizer.fit(["a"], pattern=pattern)


def test_what_is_no_vocabulary_and_what_is_no_token_are_refused() -> None:
    for vocabulary in ((), ("a", "a"), ("a", "")):
        with pytest.raises(InvalidSetting, match="every token once"):
            PieceTokenizer(vocabulary)
    with pytest.raises(ShapeMismatch, match="got 99"):
        TOKENIZER.decode([0, 99])
