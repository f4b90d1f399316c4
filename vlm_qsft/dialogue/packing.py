"""Packing: several contexts in one row of tokens, none of which sees another."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.model.text_inputs import PADDING


@dataclass(frozen=True)
class PackedRows:
    """Rows of contexts.

    Attributes:
        token_ids: of the contexts one after the other; 0 where a row is filled up.
        context: a number of its own for every context of a row; `PADDING` where the row is filled up.
        position: of each token in its context, from 0.
        row: of each context, in the order in which they were given.
        offset: index in its row of the first token of each context.
    """

    token_ids: Int64[np.ndarray, "row place"]
    context: Int64[np.ndarray, "row place"]
    position: Int64[np.ndarray, "row place"]
    row: Int64[np.ndarray, " context"]
    offset: Int64[np.ndarray, " context"]


def pack(lengths: Sequence[int], *, length: int) -> list[tuple[int, ...]]:
    """Return which contexts share a row: each goes, the longest first, to the row with most room, or a new one.

    Args:
        lengths: tokens of every context.
        length: places of a row.

    Raises:
        ShapeMismatch: a context is longer than a row.
    """
    if lengths and max(lengths) > length:
        raise ShapeMismatch(
            f"A context has {max(lengths)} tokens, a row has room for {length}: make the rows longer, or let the "
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


def packed_rows(contexts: Sequence[Int64[np.ndarray, " _"]], *, length: int = 0) -> PackedRows:
    """Return the rows of some contexts, as few as `pack` needs, cut to the longest of them.

    Args:
        contexts: the tokens of each.
        length: places of a row; the longest context where that is more.
    """
    lengths = [len(context) for context in contexts]
    members = pack(lengths, length=max(length, *lengths))
    width = max(sum(lengths[member] for member in row) for row in members)
    token_ids = np.zeros((len(members), width), np.int64)
    context = np.full((len(members), width), PADDING, np.int64)
    position = np.zeros((len(members), width), np.int64)
    row_of, offset = np.zeros(len(contexts), np.int64), np.zeros(len(contexts), np.int64)
    for row, numbers in enumerate(members):
        begin = 0
        for order, number in enumerate(numbers):
            place = slice(begin, begin + lengths[number])
            token_ids[row, place] = contexts[number]
            context[row, place] = order
            position[row, place] = np.arange(lengths[number])
            row_of[number], offset[number] = row, begin
            begin += lengths[number]
    return PackedRows(token_ids, context, position, row_of, offset)
