"""Augmented games: what a language task knows to be as good a game as a logged one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vlm_qsft.dialogue import Conversation, Message
from vlm_qsft.dialogue.tasks import RECORDING, game_generator, language_task, play
from vlm_qsft.dialogue.tasks.chess_endgames import ChessEndgames, spaced
from vlm_qsft.dialogue.tasks.language_task import with_other_past
from vlm_qsft.dialogue.tasks.lone_king import SYMMETRIES, position_from_fen, sign_of_check
from vlm_qsft.dialogue.tasks.wordle import feedback, feedback_text
from vlm_qsft.errors import DatasetError, InvalidSetting


def logged(name: str, game: int) -> Conversation:
    task = language_task(name)
    return play(task, lambda _: task.logged_action(), game_generator(name, RECORDING, game))


def turns(conversation: Conversation) -> list[tuple[Message, Message]]:
    return list(zip(conversation.messages[1::2], conversation.messages[2::2], strict=True))


@pytest.mark.parametrize("name", ["wordle", "twenty-questions"])
def test_a_game_with_another_past_has_turns_of_its_own_and_ends_as_it_did(name: str) -> None:
    generator = np.random.default_rng(0)
    seen: set[tuple[Message, ...]] = set()
    for game in range(30):
        conversation = logged(name, game)
        for _ in range(8):
            made = language_task(name).augmented(conversation, generator)
            assert made.messages[0] == conversation.messages[0]
            of_made, of_logged = turns(made), turns(conversation)
            assert of_made and Counter(of_made) <= Counter(of_logged)
            assert made.attributes == conversation.attributes
            assert len(of_made) == len(of_logged) or conversation.attributes["success"]
            assert of_made[-1] == of_logged[-1] or not conversation.attributes["success"]
            assert (made.terminated, made.truncated) == (conversation.terminated, conversation.truncated)
            seen.add(made.messages)
    assert len(seen) > 120, "hardly a game is another one"


def test_the_answers_of_a_wordle_game_stay_true_of_its_hidden_word() -> None:
    conversation = next(game for game in (logged("wordle", n) for n in range(50)) if game.attributes["success"])
    last = conversation.actions[-1]
    made = language_task("wordle").augmented(conversation, np.random.default_rng(1))
    for said, heard in turns(made):
        assert heard.text == feedback_text(feedback(word_of(said), word_of(last)))


def word_of(said: Message) -> str:
    return said.text.replace(" ", "").strip()


@pytest.mark.parametrize(
    ("success", "orders"),
    [
        (True, {"2", "02", "12", "012", "102"}),
        (False, {"012", "021", "102", "120", "201", "210"}),
    ],
)
def test_every_order_is_drawn_and_every_part_of_the_past_of_a_success(success: bool, orders: set[str]) -> None:
    opening = Message("environment", "Questions:\n")
    said = [(Message("assistant", f"{number}\n", -1.0), Message("environment", "No.\n")) for number in range(3)]
    conversation = Conversation(
        (opening, *(message for turn in said for message in turn)), True, attributes={"success": success}
    )
    generator = np.random.default_rng(0)
    drawn = {
        "".join(message.text.strip() for message in with_other_past(conversation, generator).actions)
        for _ in range(400)
    }
    assert drawn == orders


def test_the_last_turn_of_a_log_that_does_not_say_how_it_ended_stays_the_last() -> None:
    conversation = replace(logged("wordle", 3), attributes={})
    assert len(conversation.actions) > 2
    generator = np.random.default_rng(0)
    made = [with_other_past(conversation, generator) for _ in range(50)]
    assert {one.actions[-1] for one in made} == {conversation.actions[-1]}
    assert len({one.messages for one in made}) > 2


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (Message("assistant", "1\n"), Message("environment", "No.\n")),
        (Message("environment", "Questions:\n"), Message("assistant", "1\n")),
        (Message("environment", "Questions:\n"), Message("environment", "No.\n"), Message("assistant", "1\n")),
    ],
)
def test_a_conversation_of_another_build_has_no_other_past(messages: tuple[Message, ...]) -> None:
    with pytest.raises(DatasetError, match="one answer to each"):
        with_other_past(Conversation(messages, terminated=True), np.random.default_rng(0))


def test_a_turned_board_is_the_same_game() -> None:
    generator, openings = np.random.default_rng(0), set()
    for game in range(12):
        conversation = logged("endgames", game)
        made = ChessEndgames.augmented(conversation, generator)
        openings.add((game, made.messages[0].text))
        assert [message.reward for message in made.messages] == [message.reward for message in conversation.messages]
        for (before, said), (after, _) in zip(turns_of_white(made), turns_of_white(made)[1:], strict=False):
            position = position_from_fen(before)
            reached = dict(position.white_moves())[said.rstrip("+#")]
            assert said.removeprefix(said.rstrip("+#")) == sign_of_check(reached)
            assert after in {reached.after_black(square).fen() for square in reached.black_moves()}
        assert made.messages[-2].text.count("#") == int(bool(made.attributes["success"]))
    assert len(openings) == 12


def turns_of_white(conversation: Conversation) -> list[tuple[str, str]]:
    texts = [message.text.removesuffix("\n")[::2] for message in conversation.messages]
    return list(zip(texts[::2], texts[1::2], strict=False))


def test_the_eight_symmetries_are_eight_and_keep_the_number_of_moves() -> None:
    position = position_from_fen("8/8/8/5k2/8/2Q5/1K5R/8 w - - 3 4")
    mapped = [position.mapped(symmetry) for symmetry in range(len(SYMMETRIES))]
    assert mapped[0].fen() == position.fen()
    assert len({one.fen() for one in mapped}) == len(SYMMETRIES) == 8
    assert {len(list(one.white_moves())) for one in mapped} == {len(list(position.white_moves()))}


def test_a_move_that_is_none_cannot_be_turned() -> None:
    messages = (Message("environment", spaced("7k/8/6K1/8/8/8/8/1Q6 w - - 0 1")), Message("assistant", spaced("Qa9")))
    with pytest.raises(DatasetError, match="'Qa9' is no legal move"):
        ChessEndgames.augmented(Conversation(messages), np.random.default_rng(0))
    with pytest.raises(DatasetError, match="No position stands before the move 'Qa9'"):
        ChessEndgames.augmented(Conversation(messages[1:]), np.random.default_rng(0))


@pytest.mark.parametrize("name", ["maze", "maze-partly-observed", "text-navigation"])
def test_a_task_without_augmentation_says_so(name: str) -> None:
    with pytest.raises(InvalidSetting, match=f"Games of '{name}' cannot be augmented"):
        language_task(name).augmented(Conversation(()), np.random.default_rng(0))
