"""Other pasts: further games made of logged ones in which the past is a set of answers about something hidden."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64

from vlm_qsft.dialogue.conversation import Conversation, Message
from vlm_qsft.errors import DatasetError

Turn = tuple[Message, Message]
Texts = tuple[str, str]
Pasts = dict[str, dict[Texts, Turn]]
"""Of every solution, the turns that may stand before it, by what was said and answered: rewards make no other turn."""

SHARE_AGREEING = 0.5
"""Of the copies, those in which whatever is proposed agrees with the answers before it."""
NOTHING = -1
"""The number of a text that no logged game has as its solution."""


@dataclass(frozen=True)
class _Pool:
    """The turns that may stand before a solution.

    Attributes:
        turns: none of them is trained on.
        numbers: of each, its row in `OtherPasts._has`.
        proposes: of each, the number of the solution that it proposes, or NOTHING.
    """

    turns: tuple[Turn, ...]
    numbers: Int64[np.ndarray, " turn"]
    proposes: Int64[np.ndarray, " turn"]


class OtherPasts:
    """Makes of a solved game another one that ends with the same solution.

    For games in which every action text but the solution costs something, and the solution says what was hidden. What
    was answered in any game with the same solution would have been answered in all of them: the past of a solution is
    drawn from the turns of all, in any order and up to the longest that a game can have. Where a game has but its own
    turns, a network learns by heart which answers stood before which solution.

    In some of what is made no solution of a logged game is proposed that an earlier answer is not known to allow: logs
    mostly propose at random, a good player what is nearly the solution, and what a network has rarely seen it does not
    understand. What is no logged solution is a question, which is free, or where answers have parts a word of which
    nothing is known.

    Only the solution is trained on: what the turns before it are worth depends on who asked what after them, and nobody
    did. Of a game without a solution nothing is made, since it does not say what was hidden.

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
        self._has_questions = not by_parts
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
        self._has: Bool[np.ndarray, "turn solution"] = np.zeros((len(numbers), len(solutions)), bool)
        self._pools: dict[str, _Pool] = {}
        for text, past in before.items():
            of_past = np.array([numbers[texts] for texts in past], np.int64)
            self._has[of_past, solutions[text]] = True
            proposes = np.array([solutions.get(said, NOTHING) for said, _ in past], np.int64)
            turns = tuple((replace(said, trained=False), answer) for said, answer in past.values())
            self._pools[text] = _Pool(turns, of_past, proposes)

    @property
    def n_turns(self) -> int:
        """Return how many turns may stand before their solutions, summed over solutions."""
        return sum(len(pool.turns) for pool in self._pools.values())

    def __call__(self, conversation: Conversation, generator: np.random.Generator) -> Conversation | None:
        """Return the game with another past of at least one turn; None where it is not solved, or no turn is known.

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
        if generator.random() < SHARE_AGREEING:
            drawn = self._agreeing(pool, n_drawn, generator)
        else:
            drawn = generator.choice(len(pool.turns), n_drawn, replace=False).tolist()
        texts = [text for turn in (*(pool.turns[number] for number in drawn), solution) for text in turn]
        return replace(conversation, messages=(conversation.messages[0], *texts))

    def _agreeing(self, pool: _Pool, n_drawn: int, generator: np.random.Generator) -> list[int]:
        """Draw turns one after the other, up to a number of them: as many as agree with each other."""
        possible = np.ones(len(pool.turns), bool)
        drawn: list[int] = []
        while len(drawn) < n_drawn and possible.any():
            number = int(generator.choice(np.flatnonzero(possible)))
            drawn.append(number)
            agrees = self._has[pool.numbers[number], pool.proposes]
            possible &= np.where(pool.proposes == NOTHING, self._has_questions, agrees)
            possible[number] = False
        return drawn


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


def _turns(conversation: Conversation) -> list[Turn]:
    return list(zip(conversation.messages[1::2], conversation.messages[2::2], strict=True))
