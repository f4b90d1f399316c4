"""Packing: nothing leaks from one context into another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from vlm_qsft.dialogue.packing import pack, packed_rows
from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.model.text_inputs import visible


@given(st.lists(st.integers(1, 20), max_size=40))
def test_every_conversation_stands_in_one_row_and_no_row_is_too_long(lengths: list[int]) -> None:
    rows = pack(lengths, length=20)
    assert sorted(member for row in rows for member in row) == list(range(len(lengths)))
    assert all(sum(lengths[member] for member in row) <= 20 for row in rows)


def test_a_conversation_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="context_turns"):
        pack([5, 30], length=20)


def test_a_packed_model_says_of_every_context_what_it_says_of_it_alone() -> None:
    torch.manual_seed(0)
    config = LlamaConfig.from_dict(
        {"vocab_size": 4, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    )
    model = LlamaForCausalLM(config).eval()
    contexts = [np.array(tokens) for tokens in ([1, 2, 3], [3, 1], [2, 2, 0, 1, 3, 1], [0])]
    packed = packed_rows(contexts, length=7)
    assert packed.token_ids.shape == (2, 6)
    mask = torch.where(visible(torch.from_numpy(packed.context)), 0.0, -torch.inf)[:, None]
    with torch.no_grad():
        logits = model(
            torch.from_numpy(packed.token_ids), attention_mask=mask, position_ids=torch.from_numpy(packed.position)
        ).logits
        for context, row, offset in zip(contexts, packed.row, packed.offset, strict=True):
            alone = model(torch.from_numpy(context)[None]).logits[0]
            torch.testing.assert_close(logits[row, offset : offset + len(context)], alone, rtol=1e-4, atol=1e-5)


def test_padding_sees_itself_alone_and_is_seen_by_nobody() -> None:
    packed = packed_rows([np.array([1, 2, 3, 1]), np.array([3, 2])])
    seen = visible(torch.from_numpy(packed.context))
    assert packed.context.tolist() == [[0, 0, 0, 0], [0, 0, -1, -1]]
    assert seen[0].tolist() == np.tri(4, dtype=bool).tolist()
    alone = [[True, False, False, False], [True, True, False, False], [False, False, True, False]]
    assert seen[1].tolist() == [*alone, [False, False, False, True]]
