"""Packing: several conversations in one row of tokens, none of which sees another."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from vlm_qsft.dialogue.tokenized import TokenizedConversation
from vlm_qsft.errors import ShapeMismatch

PADDING = -1
"""The context of what fills up a row."""


@dataclass(frozen=True)
class PackedRow:
    """One row.

    Attributes:
        token_ids: of the conversations one after the other; 0 where the row is filled up.
        context: a number of its own for every context of every conversation; `PADDING` where the row is filled up.
        position: of each token in its context, from 0.
        members: the conversations, by their number in what was packed.
        offset: index of the first token of each member.
    """

    token_ids: Int64[np.ndarray, " place"]
    context: Int64[np.ndarray, " place"]
    position: Int64[np.ndarray, " place"]
    members: tuple[int, ...]
    offset: tuple[int, ...]


def pack(lengths: Sequence[int], *, length: int) -> list[tuple[int, ...]]:
    """Return which conversations share a row: each goes, the longest first, to the row with most room, or a new one.

    Args:
        lengths: tokens of every conversation.
        length: places of a row.

    Raises:
        ShapeMismatch: a conversation is longer than a row.
    """
    if lengths and max(lengths) > length:
        raise ShapeMismatch(
            f"A conversation has {max(lengths)} tokens, a row has room for {length}: make the rows longer, or let the "
            "policy forget earlier turns (context_turns)."
        )
    rows: list[list[int]] = []
    roomiest: list[tuple[int, int]] = []  # (-places left, row)
    for number in sorted(range(len(lengths)), key=lambda member: (-lengths[member], member)):
        left, row = heapq.heappop(roomiest) if roomiest and -roomiest[0][0] >= lengths[number] else (-length, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(number)
        heapq.heappush(roomiest, (left + lengths[number], row))
    return [tuple(row) for row in rows]


def packed_row(conversations: Sequence[TokenizedConversation], members: Sequence[int], *, length: int) -> PackedRow:
    """Return the row of some conversations; see `pack`."""
    token_ids = np.zeros(length, np.int64)
    context = np.full(length, PADDING, np.int64)
    position = np.zeros(length, np.int64)
    offsets: list[int] = []
    begin = n_contexts = 0
    for member in members:
        conversation = conversations[member]
        place = slice(begin, begin + len(conversation))
        token_ids[place] = conversation.token_ids
        context[place] = conversation.context + n_contexts
        starts = np.flatnonzero(np.diff(conversation.context, prepend=-1))
        position[place] = np.arange(len(conversation)) - np.repeat(starts, np.diff(starts, append=len(conversation)))
        offsets.append(begin)
        begin += len(conversation)
        n_contexts += int(conversation.context[-1]) + 1
    return PackedRow(token_ids, context, position, tuple(members), tuple(offsets))


def visible(context: Int64[np.ndarray, "*batch place"]) -> Bool[np.ndarray, "*batch place place"]:
    """Return which places each place sees: the earlier ones of its context, and itself.

    Padding sees itself alone: a row of an attention mask without any place gives no number.
    """
    length = context.shape[-1]
    earlier = np.tri(length, dtype=bool)
    same = context[..., :, None] == context[..., None, :]
    alone = np.eye(length, dtype=bool)
    return np.where((context == PADDING)[..., :, None], alone, same & earlier)
