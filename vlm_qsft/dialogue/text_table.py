"""TextTable: logged conversations as contexts and rows, the columns that training on text reads.

A **context** is what a policy sees at once: a whole conversation, or `context_turns` turns of it. It is what a batch is
drawn from, as frames are of robots' episodes. A **row** is one action token, a decision of its own. Equal
contexts, of which small games have many, are kept and read once: they are one **content**.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tokenized import TokenizedConversation
from vlm_qsft.dialogue.transitions import TokenTransitions, token_transitions
from vlm_qsft.training.transition_table import TransitionTable

NOWHERE = -1


@dataclass(frozen=True)
class TextTable:
    """Contexts and rows of all conversations, in their order.

    Attributes:
        contents: the tokens of every distinct context.
        content: of each context, its index in `contents`.
        episode: of each context, its conversation.
        first_row: of each context; its rows end where those of the next begin. One entry more than contexts.
        context: of each row.
        place: of each row, the index in its context of the last token that is seen when it is chosen.
        token: that was chosen.
        trained: whether a policy is trained to choose it; a row that is not stands for its place alone.
        returns: Monte-Carlo return from each row on.
        next_context: of each row, where the state is that its target bootstraps from.
        next_place: likewise.
        transitions: the rest of each row's transition; `next_frame` is the row that is chosen in the next state. Where
            a recording was cut off nothing is, and it is the first row of the last action text.
        episode_success: whether each conversation accomplished its task.
        recorded_as: each conversation itself, or the logged one that it was made of by augmentation.
    """

    contents: tuple[Int64[np.ndarray, " _"], ...]
    content: Int64[np.ndarray, " context"]
    episode: Int64[np.ndarray, " context"]
    first_row: Int64[np.ndarray, " context_and_end"]
    context: Int64[np.ndarray, " row"]
    place: Int64[np.ndarray, " row"]
    token: Int64[np.ndarray, " row"]
    trained: Bool[np.ndarray, " row"]
    returns: Float32[np.ndarray, " row"]
    next_context: Int64[np.ndarray, " row"]
    next_place: Int64[np.ndarray, " row"]
    transitions: TransitionTable
    episode_success: Bool[np.ndarray, " episode"]
    recorded_as: Int64[np.ndarray, " episode"]

    @property
    def n_episodes(self) -> int:
        """Return the number of conversations."""
        return len(self.episode_success)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of what is seen and said in its rows, whatever it earned."""
        digest = hashlib.sha256()
        for column in (self.content, self.context, self.place, self.token, *self.contents):
            digest.update(len(column).to_bytes(8, "little") + column.tobytes())
        return digest.hexdigest()

    def frames_of(self, episodes: Int64[np.ndarray, " chosen"]) -> Int64[np.ndarray, " context"]:
        """Return the contexts of these conversations that have rows to train on, ascending."""
        return np.flatnonzero(np.isin(self.episode, episodes) & (self.n_trained > 0))

    @cached_property
    def n_trained(self) -> Int64[np.ndarray, " context"]:
        """Return the number of rows to train on of each context."""
        return np.diff(np.append(0, np.cumsum(self.trained))[self.first_row])

    def rows_of(self, contexts: Int64[np.ndarray, " chosen"]) -> Int64[np.ndarray, " row"]:
        """Return the rows to train on of these contexts, one context after the other."""
        counts = self.first_row[contexts + 1] - self.first_row[contexts]
        begins = np.repeat(self.first_row[contexts] - np.append(0, np.cumsum(counts)[:-1]), counts)
        rows = begins + np.arange(int(counts.sum()))
        return rows[self.trained[rows]]


def text_table(
    conversations: Sequence[TokenizedConversation],
    successes: Bool[np.ndarray, " episode"],
    scale: RewardScale,
    *,
    gamma: float,
    horizon: int | None,
    recorded_as: Int64[np.ndarray, " episode"] | None = None,
) -> TextTable:
    """Return the table of some conversations.

    Args:
        successes: whether each accomplished its task.
        gamma: discount per turn.
        horizon: see `token_transitions`.
        recorded_as: see `TextTable`; None where all were logged.

    Raises:
        TargetOutOfRange: with this scale and gamma a return leaves [0, 1].
    """
    content_of: dict[bytes, int] = {}
    contents: list[np.ndarray] = []
    content: list[int] = []
    episode: list[int] = []
    n_rows_of_context: list[np.ndarray] = []
    columns: list[_Rows] = []
    n_rows = 0
    for number, conversation in enumerate(conversations):
        starts = np.flatnonzero(np.diff(conversation.context, prepend=-1))
        stops = np.append(starts[1:], len(conversation))
        columns.append(
            _rows(conversation, token_transitions(conversation, scale, gamma=gamma, horizon=horizon), starts)
        )
        n_rows_of_context.append(np.bincount(columns[-1].context, minlength=len(starts)))
        columns[-1].shift(contexts=len(content), rows=n_rows)
        n_rows += len(columns[-1].place)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            tokens = conversation.token_ids[start:stop]
            found = content_of.setdefault(tokens.tobytes(), len(contents))
            if found == len(contents):
                contents.append(tokens)
            content.append(found)
            episode.append(number)
    joined = {
        name: np.concatenate([getattr(rows.transitions, name) for rows in columns])
        for name in ("reward", "discount", "bootstrap_mask", "returns")
    }
    return TextTable(
        contents=tuple(contents),
        content=np.array(content, np.int64),
        episode=np.array(episode, np.int64),
        first_row=np.append(0, np.cumsum(np.concatenate(n_rows_of_context))).astype(np.int64),
        context=np.concatenate([rows.context for rows in columns]),
        place=np.concatenate([rows.place for rows in columns]),
        token=np.concatenate([rows.token for rows in columns]),
        trained=np.concatenate([rows.trained for rows in columns]),
        returns=joined.pop("returns"),
        next_context=np.concatenate([rows.next_context for rows in columns]),
        next_place=np.concatenate([rows.next_place for rows in columns]),
        transitions=TransitionTable(**joined, next_frame=np.concatenate([rows.next_row for rows in columns])),
        episode_success=successes,
        recorded_as=np.arange(len(conversations)) if recorded_as is None else recorded_as,
    )


@dataclass
class _Rows:
    """The rows of one conversation; see `TextTable`."""

    transitions: TokenTransitions
    context: np.ndarray
    place: np.ndarray
    token: np.ndarray
    trained: np.ndarray
    next_context: np.ndarray
    next_place: np.ndarray
    next_row: np.ndarray

    def shift(self, *, contexts: int, rows: int) -> None:
        """Count contexts and rows from the beginning of the table."""
        self.context, self.next_context = self.context + contexts, self.next_context + contexts
        self.next_row = self.next_row + rows


def _rows(conversation: TokenizedConversation, transitions: TokenTransitions, starts: np.ndarray) -> _Rows:
    context_of_place = np.cumsum(np.isin(np.arange(len(conversation)), starts)) - 1
    row_of_state = np.full(len(conversation), NOWHERE)
    row_of_state[transitions.state] = np.arange(len(transitions.state))
    last_turn = int(np.searchsorted(transitions.token, conversation.first_tokens[-1]))
    next_row = row_of_state[transitions.next_state]
    context, next_context = context_of_place[transitions.state], context_of_place[transitions.next_state]
    return _Rows(
        transitions,
        context=context,
        place=transitions.state - starts[context],
        token=conversation.token_ids[transitions.token],
        trained=conversation.trained[conversation.turn[transitions.token]],
        next_context=next_context,
        next_place=transitions.next_state - starts[next_context],
        next_row=np.where(next_row == NOWHERE, last_turn, next_row),
    )
