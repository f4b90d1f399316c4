"""Augmented games: what a language task knows to be as good a game as a logged one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vlm_qsft.data.split import split_episodes
from vlm_qsft.dialogue import Conversation, Message
from vlm_qsft.dialogue.augmentation import with_copies
from vlm_qsft.dialogue.tasks import RECORDING, game_generator, language_task, play
from vlm_qsft.dialogue.tasks.chess_endgames import ChessEndgames, spaced
from vlm_qsft.dialogue.tasks.lone_king import SYMMETRIES, position_from_fen, sign_of_check
from vlm_qsft.dialogue.tasks.other_pasts import OtherPasts
from vlm_qsft.dialogue.tasks.twenty_questions import oracle_table
from vlm_qsft.dialogue.tasks.wordle import feedback, feedback_text
from vlm_qsft.errors import DatasetError, InvalidSetting
from vlm_qsft.training.settings import TrainSettings


def logged(name: str, game: int) -> Conversation:
    task = language_task(name)
    return play(task, lambda _: task.logged_action(), game_generator(name, RECORDING, game))


def turns(conversation: Conversation) -> list[tuple[Message, Message]]:
    return list(zip(conversation.messages[1::2], conversation.messages[2::2], strict=True))


@pytest.mark.parametrize("name", ["wordle", "twenty-questions"])
def test_a_solution_gets_other_pasts_out_of_games_with_the_same_solution(name: str) -> None:
    generator, task = np.random.default_rng(0), language_task(name)
    games = [logged(name, game) for game in range(400)]
    augmenter = task.augmenter(games)
    of_others, seen = 0, set()
    for conversation in games[:60]:
        for _ in range(8):
            made = augmenter(conversation, generator)
            if made is None:
                continue
            assert conversation.attributes["success"]
            *past, solution = turns(made)
            assert made.messages[0] == conversation.messages[0] and solution == turns(conversation)[-1]
            assert (made.terminated, made.attributes) == (conversation.terminated, conversation.attributes)
            assert 1 <= len(past) < task.horizon and len(set(past)) == len(past)
            assert [message.trained for message in made.actions] == [False] * len(past) + [True]
            as_logged = [(replace(said, trained=True), heard) for said, heard in past]
            of_others += not set(as_logged) <= set(turns(conversation))
            seen.add(made.messages)
    assert len(seen) > 100, "hardly a game is another one"
    assert of_others > 20, "hardly a turn is of another game"


@pytest.mark.parametrize("name", ["wordle", "wordle-small"])
def test_the_answers_of_a_wordle_game_stay_true_of_its_hidden_word(name: str) -> None:
    for made in copies_of(name):
        hidden = word_of(made.actions[-1])
        for said, heard in turns(made):
            assert heard.text == feedback_text(feedback(word_of(said), hidden))


def test_the_answers_of_twenty_questions_stay_true_of_the_object() -> None:
    table = oracle_table()
    for made in copies_of("twenty-questions"):
        hidden = table.questions.index(made.actions[-1].text.strip()) + len(table.objects) - len(table.questions)
        for said, heard in turns(made):
            answer = table.has[hidden, table.questions.index(said.text.strip())]
            assert heard.text == ("Yes.\n" if answer else "No.\n")


def copies_of(name: str) -> list[Conversation]:
    games, generator = [logged(name, number) for number in range(200)], np.random.default_rng(1)
    augmenter = language_task(name).augmenter(games)
    made = [copy for copy in (augmenter(conversation, generator) for conversation in games) if copy is not None]
    assert len(made) > 50
    return made


def word_of(said: Message) -> str:
    return said.text.replace(" ", "").strip()


def game(said: str, *, solved: bool = True, terminated: bool = True) -> Conversation:
    """A game of one letter per question."""
    asked = [(Message("assistant", f"{letter}\n", -1.0), Message("environment", "No.\n")) for letter in said]
    if solved:
        asked[-1] = (replace(asked[-1][0], reward=0.0), asked[-1][1])
    messages = (Message("environment", "Questions:\n"), *(message for turn in asked for message in turn))
    return Conversation(messages, terminated, not terminated)


@pytest.mark.parametrize(
    ("logs", "drawn"),
    [
        ([game("abz")], "az bz abz baz"),
        ([game("abz"), game("acz")], "az bz cz abz acz baz bcz caz cbz"),
        ([game("az"), game("bz")], "az bz abz baz"),
        ([game("abcz")], "az bz cz abz acz baz bcz caz cbz"),
        ([game("abz"), game("cdy"), game("efz", solved=False)], "az bz abz baz"),
        ([game("z"), game("az")], "az"),
        ([game("z"), game("ay")], ""),
        ([game("abz", solved=False), game("cz")], ""),
        ([game("abz", terminated=False), game("cz")], ""),
    ],
    ids=[
        "alone", "with another solved one", "with shorter ones", "longer than a game can be", "with other solutions",
        "without a past of its own", "of which nothing is known", "a failure", "cut off",
    ],
)  # fmt: skip
def test_every_past_is_drawn_that_can_be_known(logs: list[Conversation], drawn: str) -> None:
    generator, augmenter = np.random.default_rng(0), OtherPasts(logs, horizon=3)
    made = [augmenter(logs[0], generator) for _ in range(400)]
    texts = {"".join(message.text.strip() for message in one.actions) for one in made if one is not None}
    assert texts == set(drawn.split())
    assert (None in made) == (not drawn)


def test_a_turn_that_few_solutions_have_is_drawn_more_often() -> None:
    logs = [game("abz"), game("by"), game("bx"), game("bw")]
    augmenter, generator = OtherPasts(logs, horizon=2), np.random.default_rng(0)
    made = [augmenter(logs[0], generator) for _ in range(2000)]
    rare = sum(one is not None and one.actions[0].text == "a\n" for one in made)
    # a stands before one solution, b before four: half of the draws are of both alike, half are 4 to 1 for a.
    assert rare / 2000 == pytest.approx(0.5 * 1 / 2 + 0.5 * 4 / 5, abs=0.035)


def test_of_logs_without_a_success_nothing_is_made() -> None:
    games = [game("abz", solved=False)] * 10
    everything, made_of = with_copies("twenty-questions", games, TrainSettings(steps=1, validation_fraction=0.5), 4)
    assert everything == games and made_of.tolist() == list(range(10))


def test_no_turn_of_a_held_out_game_comes_into_a_copy() -> None:
    games = [logged("wordle-small", number) for number in range(300)]
    settings = TrainSettings(steps=1, validation_fraction=0.5)
    everything, made_of = with_copies("wordle-small", games, settings, 4)
    trained, held_out = split_episodes(len(games), settings.validation_fraction, settings.seed)
    known = {turn for number in trained.tolist() for turn in turns(games[number])}
    assert {turn for number in held_out.tolist() for turn in turns(games[number])} - known, "nothing to give away"
    copies, copied = everything[len(games) :], made_of[len(games) :].tolist()
    solved = {number for number in trained.tolist() if games[number].attributes["success"]}
    assert set(copied) <= solved and len(copies) == len(copied) > 3 * len(solved)
    assert all(copy.actions[-1] == games[number].actions[-1] for copy, number in zip(copies, copied, strict=True))
    assert {(replace(said, trained=True), heard) for copy in copies for said, heard in turns(copy)} <= known


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (Message("environment", "Questions:\n"),),
        (Message("assistant", "1\n"), Message("environment", "No.\n")),
        (Message("environment", "Questions:\n"), Message("assistant", "1\n")),
        (Message("environment", "Questions:\n"), Message("environment", "No.\n"), Message("assistant", "1\n")),
    ],
)
def test_a_conversation_of_another_build_has_no_other_past(messages: tuple[Message, ...]) -> None:
    conversation = Conversation(messages, terminated=True)
    with pytest.raises(DatasetError, match="one answer to each"):
        OtherPasts([conversation], horizon=6)(conversation, np.random.default_rng(0))


def test_a_turned_board_is_the_same_game() -> None:
    generator, openings = np.random.default_rng(0), set()
    for game in range(12):
        conversation = logged("endgames", game)
        made = ChessEndgames.augmenter([conversation])(conversation, generator)
        assert made is not None
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
        ChessEndgames.augmenter([])(Conversation(messages), np.random.default_rng(0))
    with pytest.raises(DatasetError, match="No position stands before the move 'Qa9'"):
        ChessEndgames.augmenter([])(Conversation(messages[1:]), np.random.default_rng(0))


@pytest.mark.parametrize("name", ["maze", "maze-partly-observed", "text-navigation"])
def test_a_task_without_augmentation_says_so(name: str) -> None:
    with pytest.raises(InvalidSetting, match=f"Games of '{name}' cannot be augmented"):
        language_task(name).augmenter([])
