"""Other pasts: further games made of logged ones in which the past is a set of answers about something hidden.

Where answers depend on what is hidden alone, they are a model of the game: what was answered before a solution is
answered before it again, whoever asks, in whatever order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from vlm_qsft.dialogue.conversation import Conversation, Message
from vlm_qsft.errors import DatasetError

Turn = tuple[Message, Message]
Texts = tuple[str, str]
Pasts = dict[str, dict[Texts, Turn]]
"""Of every solution, the turns that may stand before it, by what was said and answered: rewards make no other turn."""

SHARE_AGREEING = 0.5
"""Of the copies, those in which whatever is proposed agrees with the answers before it, as far as is known."""
NOTHING = -1
"""The number of a text that no logged game has as its solution."""


@dataclass(frozen=True)
class _Pool:
    """The turns that may stand before a solution.

    Attributes:
        turns: as they would have been logged.
        numbers: of each, its row in `OtherPasts._has`.
        proposes: of each, the number of the solution that it proposes, or NOTHING.
        known: of each, the share of the other solutions before which it is known what would be answered to it.
        solution_known: the same share of the solution itself, said before others.
    """

    turns: tuple[Turn, ...]
    numbers: Int64[np.ndarray, " turn"]
    proposes: Int64[np.ndarray, " turn"]
    known: Float64[np.ndarray, " turn"]
    solution_known: float


class OtherPasts:
    """Makes of a solved game another one about the same solution.

    For games in which every action text but the solution costs something, and the solution says what was hidden. What
    was answered in any game with the same solution would have been answered in all of them: the past of a solution is
    drawn from the turns of all, in any order and up to the longest that a game can have. Where a game has but its own
    turns, a network learns by heart which answers stood before which solution.

    Only the solution is trained on: what the turns before it are worth depends on who asked what after them, and nobody
    did. Of a game without a solution nothing is made, since it does not say what was hidden.

    In some of what is made no solution of a logged game is proposed that an earlier answer is not known to allow: logs
    mostly propose at random, a good player what is nearly the solution, and what a network has rarely seen it does not
    understand. What is no logged solution is a question, which is free, or where answers have parts a word of which
    nothing is known.

    Where answers have parts, these are whole games of somebody who plays so: every text that is known to agree is said
    equally often, the solution among them, and the game ends with it or with the last turn. Every turn is trained on,
    and returns what it returns to that player. The solution is always known to agree, another text only where it was
    answered; the solution is said less often by that share, or what is seldom asked about would seem to be found soon.

    Drawn turns say a little more than those of a game: some logged questions rest on answers that are not drawn too.
    """

    def __init__(self, conversations: Sequence[Conversation], *, horizon: int, by_parts: bool = False) -> None:
        """Collect the turns before each solution; equal ones count once.

        Args:
            conversations: all that may be known; those of another build are left out.
            horizon: turns of the longest game.
            by_parts: an answer has a part for each part of what it answers, set apart by blanks, which depends on that
                part, its place and what is hidden alone. What was never asked of a solution is then known where each
                of its parts was. Where the logs contradict this anywhere, nothing is added to them.
        """
        self._longest_past = horizon - 1
        self._by_parts = by_parts
        before: Pasts = {}
        for conversation in conversations:
            if _alternates(conversation) and _is_solved(conversation):
                *past, solution = _turns(conversation)
                known = before.setdefault(solution[0].text, {})
                for said, answer in past:
                    known.setdefault((said.text, answer.text), (said, answer))
        if by_parts:
            before = _completed(before)
        solutions = {text: number for number, text in enumerate(before)}
        numbers: dict[Texts, int] = {}
        for past in before.values():
            for texts in past:
                numbers.setdefault(texts, len(numbers))
        share_known = _share_known(before)
        self._has: Bool[np.ndarray, "turn solution"] = np.zeros((len(numbers), len(solutions)), bool)
        self._pools: dict[str, _Pool] = {}
        for text, past in before.items():
            of_past = np.array([numbers[texts] for texts in past], np.int64)
            self._has[of_past, solutions[text]] = True
            proposes = np.array([solutions.get(said, NOTHING) for said, _ in past], np.int64)
            shares = np.array([share_known.get(said, 0.0) for said, _ in past], np.float64)
            self._pools[text] = _Pool(tuple(past.values()), of_past, proposes, shares, share_known.get(text, 0.0))

    @property
    def n_turns(self) -> int:
        """Return how many turns may stand before their solutions, summed over solutions."""
        return sum(len(pool.turns) for pool in self._pools.values())

    def __call__(self, conversation: Conversation, generator: np.random.Generator) -> Conversation | None:
        """Return the game with another past, or another game; None where it is not solved, or no turn is known.

        Args:
            conversation: an opening, then action texts and one answer to each.

        Raises:
            DatasetError: it is built otherwise.
        """
        if not _alternates(conversation):
            raise DatasetError("It is no opening followed by action texts and one answer to each.")
        solution = _turns(conversation)[-1]
        pool = self._pools.get(solution[0].text) if _is_solved(conversation) else None
        if pool is None or not pool.turns:
            return None
        # The larger of two draws: what is said late in a game, when most is known, is the hardest to learn.
        n_drawn = int(generator.integers(1, min(len(pool.turns), self._longest_past) + 1, size=2).max())
        if generator.random() >= SHARE_AGREEING:
            drawn = generator.choice(len(pool.turns), n_drawn, replace=False).tolist()
        elif self._by_parts:
            return self._agreeing_game(conversation, solution, pool, generator)
        else:
            drawn = self._agreeing_past(pool, n_drawn, generator)
        past = ((replace(said, trained=False), answer) for said, answer in (pool.turns[number] for number in drawn))
        return _with_turns(conversation, [*past, solution])

    def _agreeing_past(self, pool: _Pool, n_drawn: int, generator: np.random.Generator) -> list[int]:
        """Draw turns one after the other, up to a number of them: as many as agree with each other."""
        possible = np.ones(len(pool.turns), bool)
        drawn: list[int] = []
        while len(drawn) < n_drawn and possible.any():
            drawn.append(int(generator.choice(np.flatnonzero(possible))))
            possible &= self._agree_with(pool, drawn[-1])
        return drawn

    def _agreeing_game(
        self, conversation: Conversation, solution: Turn, pool: _Pool, generator: np.random.Generator
    ) -> Conversation:
        """Draw turns that agree with each other until the solution is drawn, or the game is over without it."""
        possible, odds = np.ones(len(pool.turns), bool), pool.solution_known
        turns: list[Turn] = []
        while len(turns) <= self._longest_past:
            agreeing = np.flatnonzero(possible)
            if not len(agreeing) or generator.random() * (len(agreeing) + odds) < odds:
                return _with_turns(conversation, [*turns, solution])
            number = int(generator.choice(agreeing))
            turns.append(pool.turns[number])
            possible &= self._agree_with(pool, number)
            odds *= pool.known[number]
        return replace(_with_turns(conversation, turns), attributes={**conversation.attributes, "success": False})

    def _agree_with(self, pool: _Pool, number: int) -> Bool[np.ndarray, " turn"]:
        """Tell which turns propose nothing that the answer of one of them is not known to allow, and are not it."""
        agrees = self._has[pool.numbers[number], pool.proposes]
        agrees = np.where(pool.proposes == NOTHING, not self._by_parts, agrees)
        agrees[number] = False
        return agrees


def _share_known(before: Pasts) -> dict[str, float]:
    """Return of every text the share of the solutions but itself before which it is known what is answered to it."""
    counts: dict[str, int] = {}
    for solution, past in before.items():
        for text in {said for said, _ in past} - {solution}:
            counts[text] = counts.get(text, 0) + 1
    return {text: count / (len(before) - (text in before)) for text, count in counts.items()}


def _completed(before: Pasts) -> Pasts:
    """Return the turns before each solution with those that follow from them part by part.

    Where one part was answered in two ways answers depend on more than their parts, and nothing follows from any.
    """
    asked = {said.text: (said, answer) for past in before.values() for said, answer in past.values()}
    asked = {text: turn for text, turn in asked.items() if _parts(*turn)}
    completed: Pasts = {}
    for solution, past in before.items():
        answers: dict[tuple[int, str], str] = {}
        for said, answer in past.values():
            for place, part, of_part in _parts(said, answer):
                if answers.setdefault((place, part), of_part) != of_part:
                    return before
        turns, said_before = dict(past), {said for said, _ in past} | {solution}
        for text, (said, answer) in asked.items():
            keys = list(enumerate(text.split()))
            if text not in said_before and all(key in answers for key in keys):
                followed = replace(answer, text=_rewritten(answer.text, [answers[key] for key in keys]))
                turns[text, followed.text] = said, followed
        completed[solution] = turns
    return completed


def _parts(said: Message, answer: Message) -> list[tuple[int, str, str]]:
    """Return place, part and answer to it; nothing where the two have not as many parts."""
    asked, answered = said.text.split(), answer.text.split()
    return list(zip(range(len(asked)), asked, answered, strict=True)) if len(asked) == len(answered) else []


def _rewritten(answer: str, parts: Sequence[str]) -> str:
    """Return an answer with other parts between the same blanks."""
    following = iter(parts)
    return re.sub(r"\S+", lambda _: next(following), answer)


def _alternates(conversation: Conversation) -> bool:
    messages = conversation.messages
    return (
        len(messages) > 2
        and len(messages) % 2 == 1
        and all(message.is_action == number % 2 for number, message in enumerate(messages))
    )


def _is_solved(conversation: Conversation) -> bool:
    return conversation.terminated and conversation.actions[-1].reward == 0.0


def _with_turns(conversation: Conversation, turns: Sequence[Turn]) -> Conversation:
    texts = [text for turn in turns for text in turn]
    return replace(conversation, messages=(conversation.messages[0], *texts))


def _turns(conversation: Conversation) -> list[Turn]:
    return list(zip(conversation.messages[1::2], conversation.messages[2::2], strict=True))
