"""Vocabularies made of parts: rows counted out by hand, and what training can and cannot move."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from vlm_qsft.errors import CheckpointError, NotFinite, ShapeMismatch
from vlm_qsft.model.composed_rows import ComposedEmbedding, ComposedHead, ComposedRows
from vlm_qsft.model.manifest import write_manifest
from vlm_qsft.model.scorer_folder import read_scorer_folder, write_scorer_folder
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.training.muon import hidden_matrices

PARTS = [["a"], ["a", " b"], ["a", " c"], ["d", " b", " a"]]


def test_a_row_is_the_sum_of_its_parts_each_at_its_place() -> None:
    torch.manual_seed(0)
    table = ComposedEmbedding(PARTS, 8, spread=0.5)
    alone, a_first, b_second, c_second, d_first, a_third = table.part_rows
    expected = [
        alone,
        (a_first + b_second) / math.sqrt(2),
        (a_first + c_second) / math.sqrt(2),
        (d_first + b_second + a_third) / math.sqrt(3),
    ]
    torch.testing.assert_close(table.weight, torch.stack(expected))
    torch.testing.assert_close(table(torch.tensor([[3, 1]])), torch.stack([expected[3], expected[1]])[None])
    hidden = torch.randn(2, 8)
    head = ComposedHead(PARTS, 8, spread=0.5)
    torch.testing.assert_close(head(hidden), hidden @ head.weight.T)


def test_what_is_learned_of_a_part_is_learned_of_every_token_that_has_it_there() -> None:
    torch.manual_seed(0)
    table = ComposedEmbedding(PARTS, 8, spread=0.5)
    before = table.weight.detach().clone()
    table.weight[1].sum().backward()
    torch.optim.SGD(table.parameters(), lr=1.0).step()
    moved = (table.weight - before).abs().sum(1) > 1e-6
    assert moved.tolist() == [False, True, True, True]


def test_the_numbers_of_all_rows_have_one_spread() -> None:
    torch.manual_seed(0)
    parts = [["a"], *([f"x{number}", " y", " z", " w"] for number in range(50))]
    weight = ComposedEmbedding(parts, 4096, spread=0.02).weight
    assert weight[0].std().item() == pytest.approx(0.02, rel=0.1)
    assert weight[1].std().item() == pytest.approx(0.02, rel=0.1)


def test_autocast_leaves_the_rows_in_their_own_precision() -> None:
    table = ComposedEmbedding(PARTS, 8, spread=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert table(torch.tensor([1])).dtype == torch.float32


def test_a_checkpoint_keeps_what_tokens_consist_of(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=len(PARTS), parts=PARTS)
    write_scorer_folder(tmp_path / "policy", behavior=made, q_model=None, documents={}, metadata={})
    read = read_scorer_folder(tmp_path / "policy", "cpu").behavior
    assert isinstance(read, TextScorer) and read.parts == PARTS
    torch.testing.assert_close(read.model.get_output_embeddings().weight, made.model.get_output_embeddings().weight)
    assert isinstance(read.model.get_input_embeddings(), ComposedEmbedding)


@pytest.mark.parametrize(
    ("parts", "message"),
    [(7, "does not describe a model"), ([["a", "b"]] * 3, "scorer.json speaks of"), (None, "do not fit")],
)
def test_a_record_of_other_parts_than_the_weights_have_is_refused(tmp_path: Path, parts: object, message: str) -> None:
    made = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=len(PARTS), parts=PARTS)
    write_scorer_folder(tmp_path / "policy", behavior=made, q_model=None, documents={}, metadata={})
    record = json.loads((tmp_path / "policy/behavior/scorer.json").read_text())
    (tmp_path / "policy/behavior/scorer.json").write_text(json.dumps({**record, "parts": parts}))
    (tmp_path / "policy/manifest.json").unlink()
    write_manifest(tmp_path / "policy")
    with pytest.raises(CheckpointError, match=message):
        read_scorer_folder(tmp_path / "policy", "cpu")


def test_a_weight_that_is_no_number_is_never_written(tmp_path: Path) -> None:
    made = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=len(PARTS), parts=PARTS)
    torch.nn.init.constant_(made.model.get_output_embeddings().part_rows, math.nan)
    with pytest.raises(NotFinite, match="part_rows"):
        write_scorer_folder(tmp_path / "policy", behavior=made, q_model=None, documents={}, metadata={})
    assert not (tmp_path / "policy").exists()


def test_parts_of_another_number_of_tokens_are_refused() -> None:
    with pytest.raises(ShapeMismatch, match="has 5 tokens; parts are given of 4"):
        build_text_scorer(TextModelSettings(width=32, layers=1), n_words=5, parts=PARTS)


def test_reading_a_token_computes_each_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=len(PARTS), parts=PARTS)
    computed, weight = [], ComposedRows.weight.fget
    assert weight is not None

    def counted(table: ComposedRows) -> torch.Tensor:
        computed.append(type(table))
        return weight(table)

    monkeypatch.setattr(ComposedRows, "weight", property(counted))
    with torch.no_grad():
        made.read(made.begin(1), torch.tensor([[1]]), torch.tensor([[True]]))
    assert computed == [ComposedEmbedding, ComposedHead]


def test_muon_leaves_vocabularies_of_parts_to_adamw() -> None:
    made = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=len(PARTS), parts=PARTS)
    hidden = hidden_matrices(made)
    trained = dict(made.named_parameters())
    assert set(hidden) < set(trained)
    assert all("layers" in name for name in hidden)
    assert [name for name in trained if "part_rows" in name and name not in hidden]


def test_a_vocabulary_of_single_parts_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    plain = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=2)
    torch.manual_seed(0)
    single = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=2, parts=[["a"], [" b"]])
    assert single.parts is None
    for one, other in zip(plain.parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
