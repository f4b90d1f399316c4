"""Chess against a lone king: positions whose moves are known."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.dialogue.tasks.chess_endgames import ChessEndgames, spaced
from vlm_qsft.dialogue.tasks.lone_king import (
    SYMMETRIES,
    position_from_fen,
    random_position,
    room_of_black,
    sign_of_check,
)
from vlm_qsft.errors import DatasetError


def endgame(fen: str) -> ChessEndgames:
    game = ChessEndgames()
    game.begin(position_from_fen(fen), np.random.default_rng(0))
    return game


def test_mate_in_one_is_found_and_earns_one() -> None:
    game = endgame("7k/8/6K1/8/8/8/8/1Q6 w - - 0 1")
    assert game.expert_action() == "Q b 8 #\n"
    result = game.step("Q b 8 #\n")
    assert (result.reward, result.terminated, result.success) == (1.0, True, True)


def test_stalemate_ends_the_game_for_nothing() -> None:
    result = endgame("7k/8/6K1/8/8/8/8/5Q2 w - - 0 1").step("Q f 7\n")
    assert (result.reward, result.terminated, result.success) == (0.0, True, False)


def test_an_unprotected_piece_is_captured_and_the_game_drawn() -> None:
    result = endgame("7k/8/8/8/8/8/8/K5Q1 w - - 0 1").step("Q g 7 +\n")
    assert (result.reward, result.terminated, result.success) == (0.0, True, False)
    assert result.observation == spaced("8/6k1/8/8/8/8/8/K7 w - - 0 2")


@pytest.mark.parametrize("text", ["Q h 9\n", "Qb8\n", "K b 2", "", "Q a 9 # #\n", "R a 8\n"])
def test_what_is_no_legal_move_costs_one_and_leaves_the_position(text: str) -> None:
    game = endgame("7k/8/6K1/8/8/8/8/1Q6 w - - 0 1")
    result = game.step(text)
    assert (result.reward, result.terminated, result.observation) == (
        -1.0,
        False,
        spaced("7k/8/6K1/8/8/8/8/1Q6 w - - 0 1"),
    )


def test_two_rooks_are_told_apart_by_file_or_by_rank() -> None:
    files = {name for name, _ in position_from_fen("8/8/8/7k/8/8/K7/R6R w - - 0 1").white_moves()}
    assert {"Rad1", "Rhd1"} <= files
    ranks = {name for name, _ in position_from_fen("R7/8/8/7k/8/8/2K5/R7 w - - 0 1").white_moves()}
    assert {"R8a4", "R1a4"} <= ranks


def test_a_move_has_its_name_and_the_name_its_move_on_every_turned_board() -> None:
    generator = np.random.default_rng(1)
    for pieces in ("Q", "R", "QR", "RR") * 5:
        position = random_position(pieces, generator)
        moves = list(position.moves())
        assert [(position.san(move), position.after_white(move)) for move in moves] == list(position.white_moves())
        assert [position.move_named(position.san(move)) for move in moves] == moves
        for symmetry in range(len(SYMMETRIES)):
            turned = position.mapped(symmetry)
            assert {move.mapped(symmetry) for move in moves} == set(turned.moves())
            assert {turned.san(move.mapped(symmetry)) for move in moves} == {name for name, _ in turned.white_moves()}
    rooks = position_from_fen("7k/8/8/8/8/8/1K6/R6R w - - 0 1")
    for name in ("Rd1", "Rcd1", "Qd1", "Ka1", "R", "", "d1"):
        assert rooks.move_named(name) is None


def test_a_queen_alone_on_an_open_board_has_her_known_moves() -> None:
    moves = [name for name, _ in position_from_fen("7k/8/8/8/3Q4/8/8/K7 w - - 0 1").white_moves()]
    # From d4: 14 along file and rank, 13 along the diagonals less a1 (her own king) and h8 (Black's).
    assert len([name for name in moves if name.startswith("Q")]) == 14 + 13 - 2
    assert sorted(name for name in moves if name.startswith("K")) == ["Ka2", "Kb1", "Kb2"]


def test_kings_do_not_stand_beside_each_other() -> None:
    moves = {name for name, _ in position_from_fen("8/8/8/3k4/8/3K4/8/7R w - - 0 1").white_moves()}
    assert not moves & {"Kc4", "Kd4", "Ke4"}
    assert {"Kc3", "Ke3", "Kc2"} <= moves


def test_random_positions_survive_their_notation_and_leave_black_unattacked() -> None:
    generator = np.random.default_rng(0)
    for pieces in ("Q", "R", "QR", "RR") * 10:
        position = random_position(pieces, generator)
        assert position_from_fen(position.fen()) == position
        assert sign_of_check(position) == ""


def test_the_room_of_a_king_behind_a_rook_is_its_side_of_the_board() -> None:
    position = position_from_fen("7k/8/8/8/8/8/8/5KR1 w - - 0 1")
    assert room_of_black(position) == 7  # the h-file but for h1


@pytest.mark.parametrize(
    "fen",
    [
        "",
        "8/8/8/8/8/8/8/8 w - - 0 1",
        "7k/8/8/8/8/8/8/K6P w - - 0 1",
        "7k/8/8/8/8/8/8/K6Q b - - 0 1",
        "8R/8/8/5k2/8/2Q5/1K5R/8 w - - 3 4",  # nine files
        "8//8/5k2/8/2Q5/1K5R/8 w - - 3 4",
        "8/8/8/5k2/8/2Q5/1K5²R/8 w - - 3 4",
        "8/8/8/5k2/8/2Q5/1K5R/8 w - - x 4",
        "8/8/8/5k2/8/2Q5/1K5R/8 w KQ - 3 4",
        "8/8/8/5k2/8/2Q5/1K5R/8",
    ],
)
def test_another_kind_of_position_is_refused(fen: str) -> None:
    with pytest.raises(DatasetError):
        position_from_fen(fen)
