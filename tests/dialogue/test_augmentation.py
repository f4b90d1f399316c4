"""Augmented games: what a language task knows to be as good a game as a logged one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from vlm_qsft.data.split import split_episodes
from vlm_qsft.dialogue import Conversation, Message
from vlm_qsft.dialogue.augmentation import with_copies
from vlm_qsft.dialogue.recipes import recipe
from vlm_qsft.dialogue.tasks import RECORDING, TUNING, game_generator, language_task, play
from vlm_qsft.dialogue.tasks.chess_endgames import ChessEndgames, spaced
from vlm_qsft.dialogue.tasks.lone_king import SYMMETRIES, position_from_fen, sign_of_check
from vlm_qsft.dialogue.tasks.other_pasts import OtherPasts
from vlm_qsft.dialogue.tasks.twenty_questions import oracle_table
from vlm_qsft.dialogue.tasks.wordle import SOLVED, SmallWordle, feedback, feedback_text, guess_text, wordle_words
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
            if made is None or is_whole_game(made):
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


def copies_of(name: str, n_games: int = 200, *, each: int = 1) -> list[Conversation]:
    games, generator = [logged(name, number) for number in range(n_games)], np.random.default_rng(1)
    augmenter = language_task(name).augmenter(games)
    made = [copy for copy in (augmenter(conversation, generator) for conversation in games * each) if copy is not None]
    assert len(made) > 50
    return made


def is_whole_game(copy: Conversation) -> bool:
    """All turns of a whole game are trained on; other copies have a past, which is not."""
    return all(message.trained for message in copy.actions)


def test_half_of_wordles_copies_are_whole_games_of_a_player_who_agrees_with_every_answer() -> None:
    copies = copies_of("wordle-small", 1000)
    games = [copy for copy in copies if is_whole_game(copy)]
    assert len(games) / len(copies) == pytest.approx(0.5, abs=0.06)
    assert len({game.messages for game in games}) > 0.7 * len(games)
    for made in games:
        said = [word_of(message) for message in made.actions]
        assert made.terminated and len(set(said)) == len(said) <= 6
        heard = [message.text for _, message in turns(made)]
        for number, word in enumerate(said):
            assert all(
                feedback_text(feedback(earlier, word)) == answer
                for earlier, answer in zip(said[:number], heard[:number], strict=True)
            )
        solved = heard[-1] == feedback_text(SOLVED)
        assert made.attributes["success"] == solved
        assert [message.reward for message in made.actions] == [-1.0] * (len(said) - solved) + [0.0] * solved


def test_whole_games_return_nearly_what_their_player_returns() -> None:
    """What is not known to agree is not said, and makes the solution likelier: for that it is said less often."""
    returns = [copy.total_reward for copy in copies_of("wordle-small", 1000, each=5) if is_whole_game(copy)]
    played: list[float] = []
    for number in range(2000):
        task, generator = SmallWordle(), game_generator("wordle-small", TUNING, number)
        agreeing = partial(any_that_agrees, task, generator)
        played.append(play(task, agreeing, generator).total_reward)
    assert float(np.mean(returns)) == pytest.approx(float(np.mean(played)), abs=0.16)


def any_that_agrees(task: SmallWordle, generator: np.random.Generator, _: Conversation) -> str:
    words = task.words()
    return guess_text(words[generator.choice(np.flatnonzero(task._consistent))])


def test_a_whole_game_may_end_without_its_solution() -> None:
    # Everything agrees with everything: nothing was answered but before these two solutions, and that alike.
    logs = [
        parted(*((f"{letter} {letter}", "- -") for letter in "abcdefgh"), ("y y", "+ +")),
        parted(*((f"{letter} {letter}", "- -") for letter in "abcdefgh"), ("z z", "+ +")),
        *(parted((f"{other} {other}", "- -"), (f"{letter} {letter}", "+ +"))
          for letter in "abcdefgh" for other in "abcdefghyz" if other != letter),
    ]  # fmt: skip
    augmenter, generator = OtherPasts(logs, horizon=3, by_parts=True), np.random.default_rng(0)
    games = [one for _ in range(400) if (one := augmenter(logs[0], generator)) and is_whole_game(one)]
    lost = [one for one in games if one.actions[-1].text != "y y\n"]
    assert 0.2 < len(lost) / len(games) < 0.9
    for one in games:
        assert one.attributes.get("success", True) == (one not in lost) and one.terminated
        assert one.total_reward == (-3.0 if one in lost else 1.0 - len(one.actions))


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


def test_in_half_of_the_pasts_nothing_is_proposed_that_an_answer_before_it_excludes() -> None:
    # c and d are solutions too; what c excludes d would not have been answered, and nobody knows c after d.
    logs = [game("cdz"), game("xd"), game("dyc")]
    augmenter, generator = OtherPasts(logs, horizon=3), np.random.default_rng(0)
    made = [augmenter(logs[0], generator) for _ in range(2000)]
    pasts = ["".join(message.text.strip() for message in one.actions[:-1]) for one in made if one is not None]
    shares = {past: pasts.count(past) / 2000 for past in set(pasts)}
    # A past of two turns is drawn in 3 of 4; the turn d stands before c, and c before nothing else than z.
    assert shares["dc"] == pytest.approx(0.75 / 2, abs=0.04)
    assert shares["cd"] == pytest.approx(0.5 * 0.75 / 2, abs=0.04)


def test_an_answer_is_known_where_each_of_its_parts_was_answered_before_the_same_solution() -> None:
    logs = [
        parted(("a c", "+ -"), ("c b", "- +"), ("a b", "+ +")),
        parted(("a b", "+ -"), ("c c", "- +"), ("d c", "+ +")),
        parted(("d c", "- -"), ("a b", "+ +")),
    ]
    known = pasts_of(logs[0], OtherPasts(logs, horizon=2, by_parts=True))
    # Before "a b" a c, c b and d c were answered: c first and c second are known, and so is c c.
    assert known == {("a c", "+ -"), ("c b", "- +"), ("d c", "- -"), ("c c", "- -")}
    assert pasts_of(logs[0], OtherPasts(logs, horizon=2)) == known - {("c c", "- -")}


def test_where_a_part_was_answered_in_two_ways_nothing_follows_from_any() -> None:
    logs = [
        parted(("a c", "+ -"), ("c b", "- +"), ("a b", "+ +")),
        parted(("c c", "+ +"), ("d d", "+ +")),
        parted(("d b", "- +"), ("b b", "+ +")),
    ]
    followed = ("c c", "- -")
    assert followed in pasts_of(logs[0], OtherPasts(logs, horizon=2, by_parts=True))
    # Before another solution, "b b", d at the first place was answered -, and now +.
    logs.append(parted(("d c", "+ -"), ("b b", "+ +")))
    for conversation in logs:
        drawn = pasts_of(conversation, OtherPasts(logs, horizon=2, by_parts=True))
        assert drawn == pasts_of(conversation, OtherPasts(logs, horizon=2))


def test_answers_of_other_builds_are_kept_and_nothing_follows_from_them() -> None:
    logs = [
        parted(("a c", "none -"), ("c b", "-"), ("d", "+ -"), ("a b", "+ +")),
        parted(("c c", "+ +"), ("d", "+"), ("d d", "+ +")),
    ]
    # Of c b no part is known: a shorter answer is no answer to its first one, or c c would follow.
    known = pasts_of(logs[0], OtherPasts(logs, horizon=2, by_parts=True))
    assert known == {("a c", "none -"), ("c b", "-"), ("d", "+ -")}


def test_what_solved_no_game_is_never_proposed_after_an_answer_that_has_parts() -> None:
    # Before "a b" stand a c, which solved a game, and e c and f c, which solved none.
    logs = [
        parted(("a c", "+ -"), ("e c", "- -"), ("f c", "- -"), ("a b", "+ +")),
        parted(("e b", "- -"), ("a c", "+ +")),
    ]
    for by_parts in (True, False):
        augmenter, generator = OtherPasts(logs, horizon=4, by_parts=by_parts), np.random.default_rng(0)
        made = [one for _ in range(400) if (one := augmenter(logs[0], generator)) is not None]
        short = sum(len(one.actions) == 2 for one in made) / 400
        # One turn is drawn in 1 of 9; by parts half of the pasts agree, and nothing agrees with another one here.
        assert short == pytest.approx(0.5 + 0.5 / 9 if by_parts else 1 / 9, abs=0.06)


def test_rewards_make_no_other_turn() -> None:
    first, second = (parted(("a c", "+ -"), ("a b", "+ +")) for _ in range(2))
    later = replace(second.messages[1], reward=-2.0)
    second = replace(second, messages=(second.messages[0], later, *second.messages[2:]))
    augmenter, generator = OtherPasts([first, second], horizon=5), np.random.default_rng(0)
    made = [augmenter(first, generator) for _ in range(100)]
    assert {len(one.actions) for one in made if one is not None} == {2}


def parted(*said: tuple[str, str]) -> Conversation:
    """A game whose last turn is its solution."""
    asked = [(Message("assistant", f"{text}\n", -1.0), Message("environment", f"{answer}\n")) for text, answer in said]
    asked[-1] = (replace(asked[-1][0], reward=0.0), asked[-1][1])
    return Conversation((Message("environment", "Words:\n"), *(text for turn in asked for text in turn)), True)


def pasts_of(conversation: Conversation, augmenter: OtherPasts) -> set[tuple[str, str]]:
    """The turns that are drawn before the solution of a game."""
    generator = np.random.default_rng(0)
    made = [one for _ in range(300) if (one := augmenter(conversation, generator)) is not None]
    return {(said.text.strip(), heard.text.strip()) for one in made for said, heard in turns(one)[:-1]}


def test_most_answers_of_wordle_follow_from_those_of_its_logs() -> None:
    games = [logged("wordle", number) for number in range(recipe("wordle").episodes)]
    n_answers = len(wordle_words()) ** 2
    assert OtherPasts(games, horizon=6).n_turns / n_answers == pytest.approx(0.24, abs=0.005)
    assert OtherPasts(games, horizon=6, by_parts=True).n_turns / n_answers == pytest.approx(0.84, abs=0.005)


def test_of_logs_without_a_success_nothing_is_made() -> None:
    games = [game("abz", solved=False)] * 10
    everything, made_of = with_copies("twenty-questions", games, TrainSettings(steps=1, validation_fraction=0.5), 4)
    assert everything == games and made_of.tolist() == list(range(10))


def test_nothing_that_held_out_games_alone_say_comes_into_a_copy() -> None:
    games = [logged("wordle-small", number) for number in range(300)]
    settings = TrainSettings(steps=1, validation_fraction=0.5)
    everything, made_of = with_copies("wordle-small", games, settings, 4)
    trained, held_out = split_episodes(len(games), settings.validation_fraction, settings.seed)
    known = {part for number in trained.tolist() for part in parts(games[number])}
    assert {part for number in held_out.tolist() for part in parts(games[number])} - known, "nothing to give away"
    copies, copied = everything[len(games) :], made_of[len(games) :].tolist()
    solved = {number for number in trained.tolist() if games[number].attributes["success"]}
    assert set(copied) <= solved and len(copies) == len(copied) > 3 * len(solved)
    assert all(
        copy.actions[-1] == games[number].actions[-1]
        for copy, number in zip(copies, copied, strict=True)
        if copy.attributes["success"]
    )
    assert {part for copy in copies for part in parts(copy)} <= known


def parts(game: Conversation) -> set[tuple[str, int, str]]:
    """Which letters were answered at which place before which solution."""
    if not game.attributes["success"]:
        return set()
    solution = word_of(game.actions[-1])
    return {(solution, place, letter) for said, _ in turns(game) for place, letter in enumerate(word_of(said))}


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
