"""LMRL-Gym's theoretical chess endgames: king and queen, rook, queen and rook, or two rooks against the lone king.

The position is observed in FEN and a move is written in SAN, every character apart from the next by a space. Mate earns
1; a draw (stalemate, all pieces captured, 50 moves) nothing; a text that is no legal move -1, and the position stays.

What plays Black, and what White played in the logs, is written here, without Stockfish: Black captures what it can and
else stays near the middle, White drives the king into less room, and both move at random with the odds below. The odds
are chosen such that the logs have LMRL-Gym's share of wins and length of games.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np

from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tasks.language_task import (
    Augmenter,
    LanguageTask,
    LogStatistics,
    ScoreScale,
    StepResult,
    Symmetry,
)
from vlm_qsft.dialogue.tasks.lone_king import (
    FILES,
    SYMMETRIES,
    Position,
    mapped_name,
    position_from_fen,
    random_position,
    room_of_black,
    sign_of_check,
)
from vlm_qsft.errors import DatasetError

MOVE_LIMIT = 50
QUIET_LIMIT = 100
"""Half-moves without a capture after which a game is a draw."""

SHARE_RANDOM_WHITE = 0.32
SHARE_RANDOM_BLACK = 0.3


_MOVE = r"[KQR](?: [a-h1-8])? [a-h] [1-8](?: [+#])?\n"
_RANK = r"(?: / )?[1-8KkQR](?: [1-8KkQR])*"
_COUNTS = r"(?:   \d(?: \d)*){2}\n"
_COUNTERS = rf"   w   -   -{_COUNTS}"


def spaced(text: str) -> str:
    """Return a text as the task writes it: its characters apart, and a line end."""
    return " ".join(text) + "\n"


class ChessEndgames(LanguageTask):
    """See the module.

    Attributes:
        endings: White's pieces besides the king.
    """

    endings: ClassVar[tuple[str, ...]] = ("Q", "R", "QR", "RR")
    name = "endgames"
    purpose = "mate the lone king with a queen or rooks; 1 for mate, -1 for an illegal move"
    horizon = MOVE_LIMIT
    gamma = 0.95
    context_turns = 1
    logs = LogStatistics(mean_return=0.586, success_rate=0.59, mean_turns=11.9)
    logs_source = "LMRL-Gym: mean return .586, .59 of the games won, 11.9 moves"
    scores = ScoreScale(minimum=-1.0, data_average=0.586, maximum=1.0)
    pieces = f"{_MOVE}|{_RANK}|{_COUNTERS}"
    counts = _COUNTS

    def reset(self, generator: np.random.Generator) -> str:
        """Draw an ending and a position."""
        return self.begin(random_position(self.endings[generator.integers(len(self.endings))], generator), generator)

    def begin(self, position: Position, generator: np.random.Generator) -> str:
        """Begin at a given position."""
        self._generator = generator
        self.position = position
        self._moves = 0
        return spaced(position.fen())

    def step(self, action: str) -> StepResult:
        """Play White's move and Black's answer."""
        self._moves += 1
        out_of_time = self._moves == MOVE_LIMIT
        name = action.removesuffix(self.end).replace(" ", "")
        move = self.position.move_named(name.rstrip("+#"))
        if move is None or action != spaced(name):
            return StepResult(spaced(self.position.fen()), -1.0, truncated=out_of_time)
        after = self.position.after_white(move)
        replies = after.black_moves()
        if not replies:
            return StepResult("\n", float(after.is_check), terminated=True, success=after.is_check)
        self.position = after.after_black(self._reply(after, replies))
        is_draw = not self.position.pieces or self.position.quiet_moves >= QUIET_LIMIT
        return StepResult(spaced(self.position.fen()), 0.0, terminated=is_draw, truncated=out_of_time and not is_draw)

    def logged_action(self) -> str:
        """Move at random or like the expert."""
        if self._generator.random() >= SHARE_RANDOM_WHITE:
            return self.expert_action()
        moves = list(self.position.white_moves())
        name, after = moves[self._generator.integers(len(moves))]
        return spaced(name + sign_of_check(after))

    def expert_action(self) -> str:
        """Mate, or leave the black king less room, then bring the king nearer; keep every piece, never stalemate."""
        name, after = max(self.position.white_moves(), key=lambda move: (_merit(move[1]), move[0]))
        return spaced(name + sign_of_check(after))

    @classmethod
    def parts(cls, piece: str) -> list[str]:
        """Return the eight squares of a rank, or the counters behind the board; a move is one part.

        As the sum of a piece, a file and a rank a move could not be likely without those that share two of them.
        """
        if re.fullmatch(_COUNTERS, piece):
            return re.findall(r"\S[ \S]*?(?=   |\n)", piece)
        squares = re.sub(r"[1-8]", lambda empty: "." * int(empty[0]), piece.replace(" ", ""))
        if re.fullmatch(_RANK, piece) and len(squares.strip("/")) == len(FILES):
            return [*squares.strip("/"), *squares[: squares.startswith("/")]]
        return [piece]

    @classmethod
    def reward_scale(cls, gamma: float) -> RewardScale:
        """Return the scale of logs without illegal moves, as these and LMRL-Gym's are; others do not fit into it."""
        return RewardScale(0.0, 1.0)

    @classmethod
    def symmetries(cls) -> Sequence[Symmetry]:
        """Return the reflections and rotations of the board, in the order of `SYMMETRIES`."""
        return tuple(
            Symmetry(partial(_mapped_board, symmetry=number), partial(_mapped_text, symmetry=number))
            for number in range(len(SYMMETRIES))
        )

    @classmethod
    def augmenter(cls, conversations: Sequence[Conversation]) -> Augmenter:
        """Reflect or rotate the board of a whole game; see `Position.mapped`."""
        return cls._mapped

    @classmethod
    def _mapped(cls, conversation: Conversation, generator: np.random.Generator) -> Conversation:
        symmetry = int(generator.integers(len(SYMMETRIES)))
        messages, position = [], None
        for message in conversation.messages:
            text = message.text.removesuffix(cls.end)[::2]
            if message.is_action:
                text = _mapped_move(position, text, symmetry)
            elif text:
                position = position_from_fen(text)
                text = position.mapped(symmetry).fen()
            messages.append(replace(message, text=spaced(text)))
        return replace(conversation, messages=tuple(messages))

    def _reply(self, position: Position, replies: list[int]) -> int:
        """Return Black's move: a capture, else the square nearest to the middle; sometimes any."""
        captures = [square for square in replies if square in position.white_squares]
        if captures:
            return captures[0]
        if self._generator.random() < SHARE_RANDOM_BLACK:
            return replies[self._generator.integers(len(replies))]
        return min(replies, key=lambda square: (_distance_to_middle(square), square))


class SmallEndgames(ChessEndgames):
    """The endgames with a queen alone: the same game, learned in minutes."""

    endings = ("Q",)
    name = "endgames-small"
    purpose = "mate the lone king with a queen; 1 for mate, -1 for an illegal move"
    logs = LogStatistics(mean_return=0.34, success_rate=0.34, mean_turns=14.6)
    logs_source = "ours"
    scores = ScoreScale(minimum=-1.0, data_average=0.34, maximum=1.0)


def _mapped_board(text: str, symmetry: int) -> str:
    return spaced(position_from_fen(text.removesuffix("\n")[::2]).mapped(symmetry).fen())


def _mapped_text(text: str, symmetry: int) -> str | None:
    name = mapped_name(text.removesuffix("\n")[::2], symmetry)
    return spaced(name) if name is not None and re.fullmatch(_MOVE, text) else None


def _mapped_move(position: Position | None, name: str, symmetry: int) -> str:
    """Return the move of a reflected or rotated board.

    Raises:
        DatasetError: it is no legal move of the position.
    """
    if position is None:
        raise DatasetError(f"No position stands before the move {name!r}.")
    told = name.rstrip("+#")
    move = position.move_named(told)
    if move is None:
        raise DatasetError(f"{name!r} is no legal move of {position.fen()!r}.")
    return position.mapped(symmetry).san(move.mapped(symmetry)) + name[len(told) :]


def _merit(position: Position) -> tuple[float, ...]:
    """Return how good a position after White's move is: larger is better."""
    replies = position.black_moves()
    if not replies:
        return (2.0,) if position.is_check else (-2.0,)
    if any(square in position.white_squares for square in replies):
        return (-1.0,)
    rooms = [room_of_black(position.after_black(square)) for square in replies]
    return (0.0, -max(rooms), -_distance(position.white_king, position.black_king), -len(replies))


def _distance(one: int, other: int) -> float:
    """Return how far two squares are apart, a step aside counting a little more than one straight on."""
    files, ranks = abs(one % 8 - other % 8), abs(one // 8 - other // 8)
    return max(files, ranks) + 0.1 * min(files, ranks)


def _distance_to_middle(square: int) -> float:
    return max(abs(square % 8 - 3.5), abs(square // 8 - 3.5))
