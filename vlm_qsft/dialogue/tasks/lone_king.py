"""Chess where Black has the king alone: positions, legal moves, FEN and SAN, for one or two queens and rooks.

Written for these endgames instead of taking a chess library: the known ones are under the GPL. Nothing can be captured
but White's pieces, White's king cannot be checked, and there are neither pawns nor castling.
Squares are numbered from a1 = 0 along the ranks to h8 = 63.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vlm_qsft.errors import DatasetError

FILES = "abcdefgh"
_ROOK = ((1, 0), (-1, 0), (0, 1), (0, -1))
_BISHOP = ((1, 1), (1, -1), (-1, 1), (-1, -1))
_STEPS = {"R": _ROOK, "Q": _ROOK + _BISHOP}


def _ray(square: int, step: tuple[int, int]) -> tuple[int, ...]:
    file, rank = square % 8 + step[0], square // 8 + step[1]
    squares = []
    while 0 <= file < 8 and 0 <= rank < 8:
        squares.append(rank * 8 + file)
        file, rank = file + step[0], rank + step[1]
    return tuple(squares)


_RAYS = {kind: [[_ray(square, step) for step in steps] for square in range(64)] for kind, steps in _STEPS.items()}
KING_MOVES = [frozenset(ray[0] for ray in _RAYS["Q"][square] if ray) for square in range(64)]


def _mapped(square: int, symmetry: int) -> int:
    file, rank = square % 8, square // 8
    file, rank = (7 - file if symmetry & 1 else file), (7 - rank if symmetry & 2 else rank)
    return file * 8 + rank if symmetry & 4 else rank * 8 + file


SYMMETRIES = tuple(tuple(_mapped(square, symmetry) for square in range(64)) for symmetry in range(8))
"""Where each square goes under the reflections and rotations of the board; the first leaves all where they are."""


def square_name(square: int) -> str:
    """Return `e4`."""
    return f"{FILES[square % 8]}{square // 8 + 1}"


def mapped_name(name: str, symmetry: int) -> str | None:
    """Return the name of a move on the board reflected or rotated, legal or not; None where it is the name of none.

    What tells two rooks apart is mapped too, a file or a rank, also where SAN would take the other of the two.

    Args:
        name: in SAN, with the sign of check or without.
        symmetry: index in `SYMMETRIES`.
    """
    found = re.fullmatch(r"([KQR])([a-h]?)([1-8]?)([a-h])([1-8])([+#]?)", name)
    if found is None or (found[2] and found[3]):
        return None
    kind, file, rank, to_file, to_rank, sign = found.groups()
    left = _mapped_name(file or FILES[0], rank or "1", symmetry)
    is_file = bool(file) != bool(symmetry & 4)  # the latter change files and ranks
    told = "" if not (file or rank) else left[0] if is_file else left[1]
    return kind + told + _mapped_name(to_file, to_rank, symmetry) + sign


def _mapped_name(file: str, rank: str, symmetry: int) -> str:
    return square_name(SYMMETRIES[symmetry][FILES.index(file) + 8 * (int(rank) - 1)])


class Move(NamedTuple):
    """A move of White: the kind of piece, the square it leaves and the one it goes to."""

    kind: str
    square: int
    target: int

    def mapped(self, symmetry: int) -> Move:
        """Return the move on the board reflected or rotated; see `SYMMETRIES`."""
        return Move(self.kind, SYMMETRIES[symmetry][self.square], SYMMETRIES[symmetry][self.target])


@dataclass(frozen=True)
class Position:
    """A position.

    Attributes:
        white_king: its square.
        pieces: White's others, (`Q` or `R`, square) each.
        black_king: its square.
        quiet_moves: half-moves since something was captured.
        number: of the move, from 1.
    """

    white_king: int
    pieces: tuple[tuple[str, int], ...]
    black_king: int
    quiet_moves: int = 0
    number: int = 1

    @property
    def white_squares(self) -> frozenset[int]:
        """Return the squares of White's pieces and king."""
        return frozenset({self.white_king, *(square for _, square in self.pieces)})

    def fen(self) -> str:
        """Return the position in Forsyth-Edwards notation, White to move."""
        board = {self.white_king: "K", self.black_king: "k"} | {square: kind for kind, square in self.pieces}
        ranks = []
        for rank in range(7, -1, -1):
            text, empty = "", 0
            for file in range(8):
                piece = board.get(rank * 8 + file)
                if piece is None:
                    empty += 1
                else:
                    text += f"{empty or ''}{piece}"
                    empty = 0
            ranks.append(f"{text}{empty or ''}")
        return f"{'/'.join(ranks)} w - - {self.quiet_moves} {self.number}"

    def mapped(self, symmetry: int) -> Position:
        """Return the position reflected or rotated; without pawns and castling the game is the same one.

        Args:
            symmetry: index in `SYMMETRIES`.
        """
        to = SYMMETRIES[symmetry]
        pieces = tuple(sorted((kind, to[square]) for kind, square in self.pieces))
        return replace(self, white_king=to[self.white_king], pieces=pieces, black_king=to[self.black_king])

    def attacked(self) -> set[int]:
        """Return the squares that White attacks or protects; the black king hides none behind it."""
        occupied = self.white_squares
        squares = set(KING_MOVES[self.white_king])
        for kind, square in self.pieces:
            for ray in _RAYS[kind][square]:
                for reached in ray:
                    squares.add(reached)
                    if reached in occupied:
                        break
        return squares

    @property
    def is_check(self) -> bool:
        """Whether the black king is attacked."""
        return self.black_king in self.attacked()

    def black_moves(self) -> list[int]:
        """Return the squares the black king may go to, ascending; those of unprotected pieces are captures."""
        attacked = self.attacked()
        return sorted(square for square in KING_MOVES[self.black_king] if square not in attacked)

    def after_black(self, square: int) -> Position:
        """Return the position after the black king went to a square."""
        kept = tuple(piece for piece in self.pieces if piece[1] != square)
        quiet = 0 if len(kept) < len(self.pieces) else self.quiet_moves + 1
        return replace(self, pieces=kept, black_king=square, quiet_moves=quiet, number=self.number + 1)

    def white_moves(self) -> Iterator[tuple[str, Position]]:
        """Yield every legal move of White in SAN, without the sign of check, and the position after it."""
        for move in self.moves():
            yield self.san(move), self.after_white(move)

    def moves(self) -> Iterator[Move]:
        """Yield every legal move of White, the king's first."""
        own = self.white_squares
        for square in sorted(KING_MOVES[self.white_king] - own - KING_MOVES[self.black_king] - {self.black_king}):
            yield Move("K", self.white_king, square)
        for kind, square in self.pieces:
            for target in self._targets(kind, square, own):
                yield Move(kind, square, target)

    def move_named(self, name: str) -> Move | None:
        """Return the legal move of a name in SAN without the sign of check; None where there is none."""
        fitting = (move for move in self.moves() if name[:1] == move.kind and name[-2:] == square_name(move.target))
        return next((move for move in fitting if self.san(move) == name), None)

    def san(self, move: Move) -> str:
        """Return the name of a legal move of White, without the sign of check."""
        rivals = [square for kind, square in self.pieces if kind == move.kind and square != move.square]
        own = self.white_squares if rivals else frozenset()
        same = [square for square in rivals if move.target in self._targets(move.kind, square, own)]
        return f"{move.kind}{_distinction(move.square, same)}{square_name(move.target)}"

    def after_white(self, move: Move) -> Position:
        """Return the position after a legal move of White; the order of its pieces is kept."""
        quiet = self.quiet_moves + 1
        if move.kind == "K":
            return replace(self, white_king=move.target, quiet_moves=quiet)
        pieces = tuple((kind, move.target if square == move.square else square) for kind, square in self.pieces)
        return replace(self, pieces=pieces, quiet_moves=quiet)

    def _targets(self, kind: str, square: int, own: frozenset[int]) -> list[int]:
        reached = []
        for ray in _RAYS[kind][square]:
            for target in ray:
                if target in own or target == self.black_king:
                    break
                reached.append(target)
        return sorted(reached)


def _distinction(square: int, same: list[int]) -> str:
    """Return what SAN adds where another piece of the kind can go to the same square: file, else rank, else both."""
    if not same:
        return ""
    name = square_name(square)
    if all(other % 8 != square % 8 for other in same):
        return name[0]
    return name[1] if all(other // 8 != square // 8 for other in same) else name


def sign_of_check(position: Position) -> str:
    """Return `#`, `+` or nothing for the position that a move of White led to."""
    if not position.is_check:
        return ""
    return "+" if position.black_moves() else "#"


def random_position(pieces: str, generator: np.random.Generator) -> Position:
    """Return a position of the two kings and these pieces, White to move, Black not in check.

    Args:
        pieces: White's besides the king: `Q`, `RR`.
    """
    while True:
        squares = [int(square) for square in generator.choice(64, size=len(pieces) + 2, replace=False)]
        position = Position(squares[0], tuple(sorted(zip(pieces, squares[2:], strict=True))), squares[1])
        if position.black_king not in position.attacked():
            return position


def position_from_fen(fen: str) -> Position:
    """Read a position of such an endgame, White to move.

    Raises:
        DatasetError: it is none, or not written as `Position.fen` writes it.
    """
    fields = fen.split()
    if len(fields) > 1 and fields[1] == "b":
        raise DatasetError(f"It is Black's move in {fen!r}; expected White's.")
    try:
        position = _position(fields)
        is_same = position.fen() == fen
    except (ValueError, IndexError):
        is_same = False
    if not is_same:
        raise DatasetError(f"{fen!r} is no endgame of a lone black king against queens and rooks.")
    return position


def _position(fields: list[str]) -> Position:
    """Read the fields of a position without looking for what does not belong there.

    Raises:
        ValueError, IndexError: it is none.
    """
    found: dict[str, list[int]] = {"K": [], "k": []}
    for rank, text in zip(range(7, -1, -1), fields[0].split("/"), strict=True):
        file = 0
        for sign in text:
            if sign.isdigit():
                file += int(sign)
            else:
                found.setdefault(sign, []).append(rank * 8 + file)
                file += 1
    (white_king,), (black_king,) = found.pop("K"), found.pop("k")
    pieces = tuple(sorted((kind, square) for kind, squares in found.items() for square in squares))
    if not set(found) <= set(_STEPS):
        raise ValueError
    return Position(white_king, pieces, black_king, int(fields[4]), int(fields[5]))


@lru_cache(maxsize=1 << 16)
def room_of_black(position: Position) -> int:
    """Return how many squares the black king could walk to if White did not move; 0 where it has no move."""
    attacked = position.attacked()
    reached, waiting = set(), [position.black_king]
    while waiting:
        for square in KING_MOVES[waiting.pop()]:
            if square not in attacked and square not in reached:
                reached.add(square)
                waiting.append(square)
    return len(reached)
