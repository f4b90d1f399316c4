"""Playing: a text policy in many games of a language task at once, turn by turn, with keys and values kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from vlm_qsft.dialogue.conversation import Message
from vlm_qsft.dialogue.repeats import SaidBefore
from vlm_qsft.dialogue.speaking import speak
from vlm_qsft.dialogue.tasks import LanguageTask, game_generator, language_task
from vlm_qsft.dialogue.text_format import TextFormat
from vlm_qsft.policy.next_token import TokenLogProbs
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.policy.text_reader import ReaderState, TextReader, padded

LONGEST_ACTION = 64
"""Tokens of the longest action text: far more than any task's."""


@dataclass(frozen=True)
class GameResult:
    """One game.

    Attributes:
        game: its number.
        total_reward: undiscounted, in the task's own unit.
        success: it ended with what was asked for.
        turns: action texts.
    """

    game: int
    total_reward: float
    success: bool
    turns: int


@dataclass
class _Game:
    number: int
    task: LanguageTask
    observations: list[str]
    seen: list[int] = field(default_factory=list)
    said_before: SaidBefore = field(default_factory=SaidBefore)
    total_reward: float = 0.0
    turns: int = 0


def play_games(
    reader: TextReader,
    settings: PolicySettings,
    text_format: TextFormat,
    games: Sequence[int],
    *,
    purpose: int,
    seed: int,
    longest_action: int = LONGEST_ACTION,
) -> list[GameResult]:
    """Play some games and return how they ended, in their order.

    All games take their turns together; those that are over leave the batch. Another grouping of the games draws other
    tokens, the same grouping the same ones.

    Args:
        reader: of the networks that `settings` need.
        games: their numbers; each has its own random generator, whatever it is played together with.
        purpose: `TUNING` or `EVALUATION`.
        seed: of the policy's draws.
        longest_action: tokens after which an action text is handed to the task as it is, without an end.
    """
    sampler = torch.Generator().manual_seed(int(np.random.default_rng([seed, games[0]]).integers(2**62)))
    playing = [_begun(text_format.task, number, purpose) for number in games]
    results: dict[int, GameResult] = {}
    state: ReaderState | None = None
    turn = 0
    while playing:
        if text_format.context_turns is not None and turn % text_format.context_turns == 0:
            state = None
            for game in playing:
                del game.observations[:-1], game.seen[:]
        chunks = [tuple(_observed(text_format, game)) for game in playing]
        if state is None:
            state, said = _begin(reader, chunks)
        else:
            after_last = [(game.seen[-1], *chunk) for game, chunk in zip(playing, chunks, strict=True)]
            said = reader.read(state, *padded(after_last))
        for game, chunk in zip(playing, chunks, strict=True):
            game.seen.extend(chunk)
        barred = None
        if not settings.repeats:
            barred = [game.said_before.entered(text_format.state_of(game.seen)) for game in playing]
        texts = speak(
            reader, state, said, settings, text_format.renderer, sampler, longest=longest_action, barred=barred
        )
        still: list[int] = []
        for row, (game, text) in enumerate(zip(playing, texts, strict=True)):
            result = game.task.step(text_format.renderer.text_of(text.token_ids))
            game.seen.extend(text.token_ids)
            game.said_before.add(text.token_ids)
            game.observations.append(result.observation)
            game.total_reward += result.reward
            game.turns += 1
            if result.terminated or result.truncated:
                results[game.number] = GameResult(game.number, game.total_reward, result.success, game.turns)
            else:
                still.append(row)
        if len(still) < len(playing):
            playing = [playing[row] for row in still]
            state.select(torch.tensor(still, dtype=torch.int64, device=reader.device))
        turn += 1
    return [results[number] for number in games]


def _begun(task: str, number: int, purpose: int) -> _Game:
    played = language_task(task)
    return _Game(number, played, [played.reset(game_generator(task, purpose, number))])


def _observed(text_format: TextFormat, game: _Game) -> list[int]:
    """Return the tokens of what was observed last, with the marks around it; an answer stands in for all answers."""
    answer = Message("assistant", game.task.end)
    messages = [message for text in game.observations[:-1] for message in (Message("environment", text), answer)]
    pieces = text_format.renderer.pieces([*messages, Message("environment", game.observations[-1])])
    begin = max((number + 1 for number, piece in enumerate(pieces) if piece.is_action), default=0)
    return [token for piece in pieces[begin:] for token in piece.token_ids]


def _begin(reader: TextReader, chunks: Sequence[tuple[int, ...]]) -> tuple[ReaderState, TokenLogProbs]:
    """Read the beginnings of contexts, each distinct one once."""
    distinct = {chunk: number for number, chunk in enumerate(dict.fromkeys(chunks))}
    state = reader.begin(len(distinct))
    said = reader.read(state, *padded(list(distinct)))
    rows = torch.tensor([distinct[chunk] for chunk in chunks], device=reader.device)
    state.select(rows)
    return state, said.of(rows)
