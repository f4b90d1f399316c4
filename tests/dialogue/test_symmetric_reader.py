"""A state that is read from all sides says the same whichever side it is seen from, and the means of all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vlm_qsft.dialogue import Conversation
from vlm_qsft.dialogue.checkpoint import TextCheckpoint
from vlm_qsft.dialogue.tasks import RECORDING, TUNING, game_generator, language_task, play
from vlm_qsft.dialogue.tasks.chess_endgames import ChessEndgames, spaced
from vlm_qsft.dialogue.tasks.lone_king import SYMMETRIES, mapped_name, position_from_fen, sign_of_check
from vlm_qsft.dialogue.text_format import TextFormat
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.policy import PolicySettings
from vlm_qsft.policy.next_token import TokenLogProbs
from vlm_qsft.policy.text_reader import padded

FROM_ALL_SIDES = PolicySettings("power", 0.0, 1.5, 0.0, symmetries=True)
FENS = ("8/8/8/5k2/8/2Q5/1K5R/8 w - - 3 4", "8/8/3k4/8/8/1R6/1K5R/8 w - - 0 1", "7k/8/6K1/8/8/8/8/1Q6 w - - 0 9")


@pytest.fixture(scope="module")
def policy() -> TextCheckpoint:
    """Networks that were never trained, with the tokens of some games seen from all sides."""
    task = language_task("endgames")
    games = [play(task, lambda _: task.logged_action(), game_generator("endgames", TUNING, game)) for game in range(9)]
    games += [
        replace(
            game, messages=tuple(replace(message, text=turned(message.text, symmetry)) for message in game.messages)
        )
        for game in games
        for symmetry in range(1, 8)
    ]
    text_format = TextFormat.fit("endgames", games)
    scorers = []
    for seed in range(2):
        torch.manual_seed(seed)
        scorers.append(build_text_scorer(TextModelSettings(width=32, layers=1), n_words=text_format.n_words).eval())
    return TextCheckpoint(Path("made"), scorers[0], scorers[1], text_format, {}, "made")


def turned_game(game: Conversation, symmetry: int) -> Conversation:
    messages = (replace(message, text=turned(message.text, symmetry)) for message in game.messages)
    return replace(game, messages=tuple(messages))


def turned(text: str, symmetry: int) -> str:
    """Return a text of a game seen from another side."""
    seen = ChessEndgames.symmetries()[symmetry]
    return seen.said(text) or (seen.observed(text) if text.strip() else text)


def read(policy: TextCheckpoint, fens: tuple[str, ...], settings: PolicySettings) -> TokenLogProbs:
    reader, tokenizer = policy.reader(settings), policy.text_format.tokenizer
    return reader.read(reader.begin(len(fens)), *padded([tokenizer.encode(spaced(fen)) for fen in fens]))


def as_seen_from(side: int, policy: TextCheckpoint, part: Tensor) -> Tensor:
    """Return log-probabilities by the tokens of the board as it is, of those on the board seen from another side."""
    vocabulary = policy.text_format.tokenizer.vocabulary
    number = {text: token for token, text in enumerate(vocabulary)}
    said = [ChessEndgames.symmetries()[side].said(text) for text in vocabulary]
    return part[:, [number.get(text or "", token) for token, text in enumerate(said)]]


def moves(policy: TextCheckpoint) -> list[int]:
    """Return the tokens of moves that have a name from every side."""
    vocabulary = policy.text_format.tokenizer.vocabulary
    sides = ChessEndgames.symmetries()
    return [token for token, text in enumerate(vocabulary) if all(side.said(text) in vocabulary for side in sides)]


def test_what_counts_is_the_mean_of_all_views(policy: TextCheckpoint) -> None:
    said = read(policy, FENS, FROM_ALL_SIDES)
    views = []
    for side in range(8):
        fens = tuple(position_from_fen(fen).mapped(side).fen() for fen in FENS)
        log_p, log_pi = read(policy, fens, replace(FROM_ALL_SIDES, symmetries=False))
        assert log_p is not None and log_pi is not None
        of_moves = moves(policy)
        views.append((as_seen_from(side, policy, log_p)[:, of_moves], as_seen_from(side, policy, log_pi)[:, of_moves]))
    assert len(moves(policy)) > 200
    for number, part in enumerate((said.log_p, said.log_pi)):
        assert part is not None
        torch.testing.assert_close(part.exp().sum(1), torch.ones(3))
        mean = torch.stack([view[number] for view in views]).mean(0)
        # Up to a constant per state: the means are normalised.
        torch.testing.assert_close(
            part[:, moves(policy)] - part[:, moves(policy)[:1]], mean - mean[:, :1], atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("side", range(1, 8))
def test_every_side_says_the_same(policy: TextCheckpoint, side: int) -> None:
    plain = read(policy, FENS, FROM_ALL_SIDES)
    fens = tuple(position_from_fen(fen).mapped(side).fen() for fen in FENS)
    from_there = read(policy, fens, FROM_ALL_SIDES)
    assert plain.log_p is not None and from_there.log_p is not None
    seen, expected = as_seen_from(side, policy, from_there.log_p)[:, moves(policy)], plain.log_p[:, moves(policy)]
    torch.testing.assert_close(seen - seen[:, :1], expected - expected[:, :1], atol=1e-4, rtol=1e-4)


def test_conversations_stay_apart_and_a_text_of_several_tokens_is_read_on_as_it_is(policy: TextCheckpoint) -> None:
    reader, tokenizer = policy.reader(FROM_ALL_SIDES), policy.text_format.tokenizer
    state = reader.begin(3)
    together = reader.read(state, *padded([tokenizer.encode(spaced(fen)) for fen in FENS]))
    alone = read(policy, FENS[2:], FROM_ALL_SIDES)
    assert together.log_pi is not None and alone.log_pi is not None
    torch.testing.assert_close(together.log_pi[2:], alone.log_pi, atol=1e-4, rtol=1e-4)
    state.select(torch.tensor([2, 0]))
    behind = reader.read(state, torch.tensor([[5], [6]]), torch.ones(2, 1, dtype=torch.bool))
    plain = policy.reader(replace(FROM_ALL_SIDES, symmetries=False))
    chunks = [[*tokenizer.encode(spaced(FENS[number])), token] for number, token in ((2, 5), (0, 6))]
    expected = plain.read(plain.begin(2), *padded(chunks))
    assert behind.log_p is not None and expected.log_p is not None
    torch.testing.assert_close(behind.log_p, expected.log_p, atol=1e-4, rtol=1e-4)


def test_names_of_moves_are_those_of_the_turned_board() -> None:
    told_apart = 0
    for game in range(40):
        task = language_task("endgames")
        generator = game_generator("endgames", RECORDING, game)
        position = position_from_fen(task.reset(generator)[:-1:2])
        for symmetry in range(len(SYMMETRIES)):
            there = position.mapped(symmetry)
            for move in position.moves():
                name, expected = position.san(move), there.san(move.mapped(symmetry))
                told_apart += len(name) == 4
                sign = sign_of_check(position.after_white(move))
                mapped = mapped_name(name + sign, symmetry)
                # Of two rooks SAN tells the file where it can; from a side that changes both it would be the rank.
                assert mapped == expected + sign or (len(name) == 4 and symmetry & 4 and mapped is not None)
    assert told_apart > 100


@pytest.mark.parametrize("name", ["", "e4", "Qa9", "Qab1c", "Ra1b2", "Kb2 ", "Bb2", "Qb2++"])
def test_what_is_no_name_of_a_move_has_none_from_elsewhere(name: str) -> None:
    assert all(mapped_name(name, symmetry) is None for symmetry in range(8))


def test_a_game_without_symmetries_says_so() -> None:
    task = language_task("maze")
    games = [play(task, lambda _: task.logged_action(), game_generator("maze", TUNING, game)) for game in range(3)]
    text_format = TextFormat.fit("maze", games)
    scorer = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=text_format.n_words)
    with pytest.raises(InvalidSetting, match="'maze' can be seen in one way: set symmetries=False"):
        TextCheckpoint(Path("made"), scorer, scorer, text_format, {}, "made").reader(FROM_ALL_SIDES)
