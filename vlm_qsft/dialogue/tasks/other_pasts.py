"""Other pasts: further games made of logged ones in which the past is a set of answers about something hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from vlm_qsft.dialogue.conversation import Conversation, Message
from vlm_qsft.errors import DatasetError

Turn = tuple[Message, Message]

SHARE_BY_RARITY = 0.5
"""Of the copies, those whose turns are drawn in proportion to 1 / number of solutions that have them."""


class OtherPasts:
    """Makes of a solved game another one that ends with the same solution.

    For games in which every action text but the solution costs something, and the solution says what was hidden. What
    was answered in any game with the same solution would have been answered in all of them: the past of a solution is
    drawn from the turns of all, in any order and up to the longest that a game can have. Where a game has but its own
    turns, a network learns by heart which answers stood before which solution.

    In half of what is made a turn is drawn the more often, the fewer solutions have it: logs mostly ask at random, a
    good player asks what is nearly the solution, and what a network has rarely seen it does not understand.

    Only the solution is trained on: what the turns before it are worth depends on who asked what after them, and nobody
    did. Of a game without a solution nothing is made, since it does not say what was hidden.

    Drawn turns say a little more than those of a game: some logged questions rest on answers that are not drawn too.
    """

    def __init__(self, conversations: Sequence[Conversation], *, horizon: int) -> None:
        """Collect the turns before each solution; equal ones count once.

        Args:
            conversations: all that may be known; those of another build are left out.
            horizon: turns of the longest game.
        """
        self._longest_past = horizon - 1
        before: dict[str, dict[Turn, None]] = {}
        for conversation in conversations:
            if _alternates(conversation) and _is_solved(conversation):
                *past, solution = _turns(conversation)
                before.setdefault(solution[0].text, {}).update(dict.fromkeys(past))
        n_solutions = Counter(turn for past in before.values() for turn in past)
        self._before = {
            text: (
                tuple((replace(said, trained=False), answer) for said, answer in past),
                _shares([1.0 / n_solutions[turn] for turn in past]),
            )
            for text, past in before.items()
            if past
        }

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
        if not _is_solved(conversation) or solution[0].text not in self._before:
            return None
        past, by_rarity = self._before[solution[0].text]
        # The larger of two draws: what is said late in a game, when most is known, is the hardest to learn.
        n_drawn = int(generator.integers(1, min(len(past), self._longest_past) + 1, size=2).max())
        shares = by_rarity if generator.random() < SHARE_BY_RARITY else None
        drawn = [past[number] for number in generator.choice(len(past), n_drawn, replace=False, p=shares).tolist()]
        texts = [text for turn in (*drawn, solution) for text in turn]
        return replace(conversation, messages=(conversation.messages[0], *texts))


def _alternates(conversation: Conversation) -> bool:
    messages = conversation.messages
    return (
        len(messages) > 2
        and len(messages) % 2 == 1
        and all(message.is_action == number % 2 for number, message in enumerate(messages))
    )


def _is_solved(conversation: Conversation) -> bool:
    return conversation.terminated and conversation.actions[-1].reward == 0.0


def _shares(weights: Sequence[float]) -> Float64[np.ndarray, " turn"]:
    return np.array(weights) / np.sum(weights)


def _turns(conversation: Conversation) -> list[Turn]:
    return list(zip(conversation.messages[1::2], conversation.messages[2::2], strict=True))
