"""Packing: nothing leaks from one conversation into another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from vlm_qsft.dialogue import (
    CharacterTokenizer,
    Conversation,
    Message,
    PlainRenderer,
    TokenizedConversation,
    pack,
    packed_row,
    tokenize,
    visible,
)
from vlm_qsft.errors import ShapeMismatch

RENDERER = PlainRenderer(CharacterTokenizer("\nabx"))


def conversation(observations: str, *, context_turns: int | None = None) -> TokenizedConversation:
    messages = [m for text in observations for m in (Message("environment", text), Message("assistant", "ab\n"))]
    return tokenize(Conversation(tuple(messages), terminated=True), RENDERER, context_turns=context_turns)


@given(st.lists(st.integers(1, 20), max_size=40))
def test_every_conversation_stands_in_one_row_and_no_row_is_too_long(lengths: list[int]) -> None:
    rows = pack(lengths, length=20)
    assert sorted(member for row in rows for member in row) == list(range(len(lengths)))
    assert all(sum(lengths[member] for member in row) <= 20 for row in rows)


def test_a_conversation_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="context_turns"):
        pack([5, 30], length=20)


def test_a_packed_model_says_of_every_conversation_what_it_says_of_it_alone() -> None:
    torch.manual_seed(0)
    config = LlamaConfig.from_dict(
        {"vocab_size": 4, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    )
    model = LlamaForCausalLM(config).eval()
    parts = [conversation("xb"), conversation("a"), conversation("bxa", context_turns=1)]
    row = packed_row(parts, (2, 0, 1), length=30)
    mask = torch.where(torch.from_numpy(visible(row.context)), 0.0, -torch.inf)[None, None]
    with torch.no_grad():
        packed = model(
            torch.from_numpy(row.token_ids)[None],
            attention_mask=mask,
            position_ids=torch.from_numpy(row.position)[None],
        ).logits[0]
        for member, offset in zip(row.members, row.offset, strict=True):
            part = parts[member]
            for number in np.unique(part.context):
                places = np.flatnonzero(part.context == number)
                alone = model(torch.from_numpy(part.token_ids[places])[None]).logits[0]
                torch.testing.assert_close(packed[offset + places], alone, rtol=1e-4, atol=1e-5)


def test_padding_sees_itself_alone_and_is_seen_by_nobody() -> None:
    row = packed_row([conversation("x")], (0,), length=6)
    seen = visible(row.context)
    assert seen[4:].tolist() == np.eye(6, dtype=bool)[4:].tolist()
    assert not seen[:4, 4:].any()
    assert seen[:4, :4].tolist() == np.tri(4, dtype=bool).tolist()
