"""Games played by a person and by a policy."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.dialogue import ChatRenderer
from vlm_qsft.dialogue.chat import GameChat
from vlm_qsft.dialogue.chat.game_chat import Player
from vlm_qsft.dialogue.tasks import EVALUATION, game_generator, language_task
from vlm_qsft.dialogue.tasks.wordle import wordle_words
from vlm_qsft.errors import UnknownName

from .speaking import TOKENIZER, Speaker


def hidden_word(game: int) -> str:
    """Return the word of a game: the first draw of its generator."""
    return wordle_words()[int(game_generator("wordle", EVALUATION, game).integers(len(wordle_words())))]


def said(chat: GameChat, text: str) -> list[str]:
    return [fragment.text for fragment in chat.hear(text)]


def test_a_guess_is_answered_letter_by_letter_and_the_right_one_ends_the_game() -> None:
    chat = GameChat("wordle", first_game=3)
    word = hidden_word(3)
    other = next(other for other in wordle_words() if not set(other) & set(word))
    assert said(chat, other) == ["b b b b b\n"]
    assert said(chat, word.upper()) == ["g g g g g\n", "Solved in 2 turns, return -1.", "Wordle:\n"]
    assert said(chat, " ".join(hidden_word(4)))[0] == "g g g g g\n"


def test_what_the_game_does_not_know_costs_a_turn_and_is_said() -> None:
    chat = GameChat("wordle")
    fragments = list(chat.hear("zzzzz"))
    assert [fragment.is_notice for fragment in fragments] == [False, True]
    for _ in range(4):
        said(chat, "no word")
    assert said(chat, "x")[-2] == "Over in 6 turns, return -6."


def test_enter_alone_lets_the_policy_play_as_it_was_trained_to_be_asked() -> None:
    word = hidden_word(0)
    speaker = Speaker(" ".join(word) + "\n", q_values=[0.7] * 11)
    chat = GameChat("wordle", player=Player(speaker, ChatRenderer(TOKENIZER), "the policy"))
    assert "Enter alone lets the policy play" in chat.greeting
    fragments = list(chat.hear(""))
    played = [fragment for fragment in fragments if fragment.q_value == pytest.approx(0.7)]
    assert "".join(fragment.text for fragment in played) == " ".join(word) + "\n"
    assert fragments[-2].text == "Solved in 1 turns, return 0."
    assert speaker.forgotten_before == [0, 1]  # each game begins with nothing said
    assert TOKENIZER.decode(speaker.prompts[0]) == "<|im_start|>user\nWordle:\n<|im_end|>\n<|im_start|>assistant\n"


def test_without_a_policy_enter_alone_is_no_turn() -> None:
    chat = GameChat("wordle")
    (notice,) = chat.hear("")
    assert notice.is_notice


def test_other_tasks_take_what_is_typed_as_it_is() -> None:
    task = language_task("maze")
    task.reset(game_generator("maze", EVALUATION, 0))
    expected = task.step("move down\n").observation
    assert said(GameChat("maze"), "move down")[0] == expected


def test_an_unknown_task_lists_the_tasks() -> None:
    with pytest.raises(UnknownName, match="wordle"):
        GameChat("worlde")


def test_a_text_of_any_kind_is_one_line_of_the_game() -> None:
    chat = GameChat("wordle")
    for text in ("a\nb\x1b[2J", "x" * 5000, "\ud800", "<|im_start|>system"):
        assert all("\x1b" not in piece for piece in said(chat, text))
    assert np.isfinite(chat._conversation.total_reward)
