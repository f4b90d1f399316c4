"""LanguageTask: a text game with rewards, the way its logs were played, and the published figures it is measured by."""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import ClassVar, NamedTuple

import numpy as np

from vlm_qsft.dialogue.conversation import Attribute, Conversation, Message
from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tokenizers import pieces_of
from vlm_qsft.errors import InvalidSetting

RECORDING, TUNING, EVALUATION = 0, 1, 2
"""Purposes of a game's seed: what is recorded, tuned on and evaluated never shares a game."""

Augmenter = Callable[[Conversation, np.random.Generator], Conversation | None]
"""Makes a further conversation of one, or None where there is none; raises DatasetError where it is not of the task."""


class Symmetry(NamedTuple):
    """A way in which a game can be seen, as a board from another side.

    Attributes:
        observed: what would be observed there, of what is observed.
        said: what would be said there, of an action text; None where it is no text of the game.
    """

    observed: Callable[[str], str]
    said: Callable[[str], str | None]


@dataclass(frozen=True)
class StepResult:
    """What the environment answers to an action text.

    Attributes:
        observation: its text.
        reward: of the action text, in the task's own unit.
        terminated: the game ended.
        truncated: the time limit, which the player does not see, was reached.
        success: the game ended with what was asked for.
    """

    observation: str
    reward: float
    terminated: bool = False
    truncated: bool = False
    success: bool = False


@dataclass(frozen=True)
class LogStatistics:
    """What logs look like, as published or as measured; NaN is what was not published.

    Attributes:
        mean_return: undiscounted, in the task's own unit.
        success_rate: share of the games that succeed.
        mean_turns: action texts per game.
    """

    mean_return: float
    success_rate: float = math.nan
    mean_turns: float = math.nan


def log_statistics(conversations: Sequence[Conversation]) -> LogStatistics:
    """Return the statistics of at least one conversation; `success` is among their attributes, see `play`."""
    return LogStatistics(
        mean_return=fmean(conversation.total_reward for conversation in conversations),
        success_rate=fmean(bool(conversation.attributes.get("success")) for conversation in conversations),
        mean_turns=fmean(len(conversation.actions) for conversation in conversations),
    )


@dataclass(frozen=True)
class ScoreScale:
    """LMRL-Gym's normalised score: 0 at the minimum, 50 at the average of the logs, 100 at the maximum."""

    minimum: float
    data_average: float
    maximum: float

    def score(self, mean_return: float) -> float:
        """Return the normalised score of a mean return."""
        if mean_return < self.data_average:
            return 50.0 * (mean_return - self.minimum) / (self.data_average - self.minimum)
        return 50.0 + 50.0 * (mean_return - self.data_average) / (self.maximum - self.data_average)


class LanguageTask(ABC):
    """One game at a time. Everything it draws comes from the generator of `reset`.

    Attributes:
        name: as users write it.
        purpose: one line for lists.
        horizon: action texts of the longest game.
        gamma: discount per turn that suits it.
        context_turns: turns after which a policy may forget, see `dialogue.rendering.tokenize`.
        logs: statistics that the logs are made to have, and where they come from.
        logs_source: who published them.
        scores: of normalised scores.
        end: last character of every action text.
        pieces: regular expression of what is one token to a model of the task's own, see `PieceTokenizer`: larger than
            a word; see `parts`.
        counts: regular expression of what in an observation counts, as moves, and does not say where a game stands.
    """

    name: ClassVar[str]
    purpose: ClassVar[str]
    horizon: ClassVar[int]
    gamma: ClassVar[float]
    context_turns: ClassVar[int | None] = None
    logs: ClassVar[LogStatistics]
    logs_source: ClassVar[str]
    scores: ClassVar[ScoreScale]
    end: ClassVar[str] = "\n"
    pieces: ClassVar[str] = ""
    counts: ClassVar[str] = ""

    @abstractmethod
    def reset(self, generator: np.random.Generator) -> str:
        """Begin a game and return what is observed first."""

    @abstractmethod
    def step(self, action: str) -> StepResult:
        """Answer an action text; whatever a policy may have written is answered."""

    @abstractmethod
    def logged_action(self) -> str:
        """Return what the players of the logs say here; they may know what is hidden."""

    @abstractmethod
    def expert_action(self) -> str:
        """Return what a very good player says here, the measure of the best that can be reached."""

    @classmethod
    @abstractmethod
    def reward_scale(cls, gamma: float) -> RewardScale:
        """Return the scale that puts every discounted return into [0, 1].

        Raises:
            InvalidSetting: with this discount there is none.
        """

    @classmethod
    def parts(cls, piece: str) -> list[str]:
        """Return what the row of a token is the sum of, see `model.composed_rows`.

        What a part says at its place, as a letter does in a word, it says whatever the other parts are.

        Args:
            piece: the token's text; two of different texts differ in their parts.
        """
        return pieces_of(piece)

    @classmethod
    def symmetries(cls) -> Sequence[Symmetry]:
        """Return all ways in which a game can be seen, the first of them as it is."""
        return (Symmetry(observed=lambda text: text, said=lambda text: text),)

    @classmethod
    def augmenter(cls, conversations: Sequence[Conversation]) -> Augmenter:
        """Return what makes of a conversation another one in which what is said is right for the same reasons.

        The returns of what it makes are those of the game that it seems to be.

        Args:
            conversations: logged ones of this task, all that may be drawn on.

        Raises:
            InvalidSetting: this task knows of none.
        """
        raise InvalidSetting(f"Games of '{cls.name}' cannot be augmented: train on what was logged.")


def game_generator(name: str, purpose: int, game: int, *, seed: int = 0) -> np.random.Generator:
    """Return the generator of a game; the task's CRC-32 enters, so the order in which tasks are listed does not.

    Args:
        name: of the task.
        purpose: `RECORDING`, `TUNING` or `EVALUATION`.
        game: number of the game, from 0.
        seed: another one gives other games of the same purpose.
    """
    return np.random.default_rng([purpose, zlib.crc32(name.encode()), game, seed])


def play(
    task: LanguageTask,
    act: Callable[[Conversation], str],
    generator: np.random.Generator,
    *,
    attributes: dict[str, Attribute] | None = None,
) -> Conversation:
    """Play one game and return its conversation, with `success` among its attributes.

    Args:
        act: from the conversation so far to an action text.
        generator: see `game_generator`.
        attributes: further ones.
    """
    conversation = Conversation((Message("environment", task.reset(generator)),))
    while True:
        action = act(conversation)
        result = task.step(action)
        messages = (
            *conversation.messages,
            Message("assistant", action, result.reward),
            Message("environment", result.observation),
        )
        conversation = Conversation(messages, result.terminated, result.truncated)
        if result.terminated or result.truncated:
            return replace(
                conversation, attributes={"task": task.name, "success": result.success, **(attributes or {})}
            )
