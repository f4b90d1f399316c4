"""The scorer of text: what is read piece by piece, with gaps and with rows that leave, is what one pass says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vlm_qsft.errors import CheckpointError, ShapeMismatch
from vlm_qsft.model.action_logits import split_dummy
from vlm_qsft.model.loading import load_scorer_files
from vlm_qsft.model.scorer_folder import read_scorer_folder, write_scorer_folder
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_inputs import TextInputs
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings

N_WORDS = 9


PARTS = [["a"], ["b"], ["\n"], ["a", " b"], ["b", " a"], ["a", " a"], ["b", " b"], ["c"], ["c", " b"]]


@pytest.fixture(scope="module", params=[(None, 0), (PARTS, 0), (PARTS, 16)], ids=["own rows", "parts", "positions"])
def scorer(request: pytest.FixtureRequest) -> TextScorer:
    parts, positions = request.param
    torch.manual_seed(0)
    made = build_text_scorer(
        TextModelSettings(width=32, layers=2, learned_positions=positions), n_words=N_WORDS, parts=parts
    )
    for parameter in made.parameters():
        parameter.data.mul_(3.0)
    return made.eval()


def inputs(tokens: list[int]) -> TextInputs:
    """Return every place of one row as a state."""
    ids = torch.tensor([tokens])
    n = len(tokens)
    return TextInputs(
        ids, torch.zeros_like(ids), torch.arange(n)[None], torch.zeros(n, dtype=torch.int64), torch.arange(n)
    )


def whole_pass(scorer: TextScorer, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return scorer.logits(inputs(tokens), torch.zeros(len(tokens), 1, dtype=torch.int64))[:, 0]


def test_the_words_have_the_logits_that_transformers_gives_them(scorer: TextScorer) -> None:
    tokens = [1, 2, 3, 8]
    with torch.no_grad():
        expected = scorer.model(torch.tensor([tokens])).logits[0]
    torch.testing.assert_close(whole_pass(scorer, tokens)[:, :-1], expected, rtol=1e-4, atol=1e-5)


def test_reading_piece_by_piece_with_gaps_says_what_one_pass_says(scorer: TextScorer) -> None:
    rows = [[1, 2, 3, 4, 5, 6], [7, 8, 1]]
    memory = scorer.begin(2)
    with torch.no_grad():
        scorer.read(memory, torch.tensor([[1, 2], [7, 0]]), torch.tensor([[True, True], [True, False]]))
        scorer.read(memory, torch.tensor([[3], [0]]), torch.tensor([[True], [False]]))
        said = scorer.read(
            memory, torch.tensor([[4, 5, 6], [8, 1, 0]]), torch.tensor([[True] * 3, [True, True, False]])
        )
    for row, logits in zip(rows, said, strict=True):
        torch.testing.assert_close(logits, whole_pass(scorer, row)[-1], rtol=1e-4, atol=1e-5)


def test_a_row_that_leaves_changes_nothing_for_the_others(scorer: TextScorer) -> None:
    memory = scorer.begin(3)
    every = torch.ones(3, 2, dtype=torch.bool)
    with torch.no_grad():
        scorer.read(memory, torch.tensor([[1, 2], [3, 4], [5, 6]]), every)
        memory.select(torch.tensor([2, 0]))
        said = scorer.read(memory, torch.tensor([[7], [8]]), every[:2, :1])
    torch.testing.assert_close(said[0], whole_pass(scorer, [5, 6, 7])[-1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(said[1], whole_pass(scorer, [1, 2, 8])[-1], rtol=1e-4, atol=1e-5)


def test_the_dummy_can_be_given_one_probability_everywhere_and_the_words_keep_their_ratios() -> None:
    torch.manual_seed(1)
    made = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=N_WORDS)
    before = whole_pass(made, [1, 2, 3])[:, :-1]
    made.reset_dummy(0.95)
    after = split_dummy(whole_pass(made, [1, 2, 3]))
    torch.testing.assert_close(after[:, -1].exp(), torch.full((3,), 0.95))
    torch.testing.assert_close(after[:, :-1].log_softmax(-1), before.log_softmax(-1))


def test_start_and_next_say_what_a_whole_pass_says(scorer: TextScorer) -> None:
    state = scorer.start(inputs([4, 4, 2]))
    with torch.no_grad():
        torch.testing.assert_close(scorer.next_logits(state, None), whole_pass(scorer, [4, 4, 2]))
    with pytest.raises(ValueError, match="decoded"):
        scorer.next_logits(state, None)


def test_tokens_outside_the_vocabulary_and_contexts_that_are_too_long_are_refused(scorer: TextScorer) -> None:
    with pytest.raises(ShapeMismatch, match=r"0\.\.8; got 1\.\.9"):
        scorer.start(inputs([1, 9]))
    long = [1] * (scorer.max_positions + 1)
    with pytest.raises(ShapeMismatch, match="context_turns"):
        scorer.check_inputs(inputs(long))


def test_a_scorer_read_from_its_folder_says_the_same(scorer: TextScorer, tmp_path: Path) -> None:
    write_scorer_folder(tmp_path / "policy", behavior=scorer, q_model=None, documents={}, metadata={"of": "test"})
    again = read_scorer_folder(tmp_path / "policy", "cpu")
    assert again.metadata == {"of": "test"}
    assert isinstance(again.behavior, TextScorer)
    torch.testing.assert_close(whole_pass(again.behavior, [1, 5, 3]), whole_pass(scorer, [1, 5, 3]))
    (tmp_path / "policy" / "behavior" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="does not describe a model"):
        load_scorer_files(tmp_path / "policy" / "behavior")


def test_a_context_longer_than_the_learned_positions_is_refused() -> None:
    made = build_text_scorer(TextModelSettings(width=32, layers=1, learned_positions=4), n_words=N_WORDS)
    assert made.max_positions == 4
    assert whole_pass(made, [1, 2, 3, 4]).shape == (4, N_WORDS + 1)
    with pytest.raises(ShapeMismatch, match="A context has 5 tokens; this model reads 4"):
        whole_pass(made, [1, 2, 3, 4, 5])
    with pytest.raises(ShapeMismatch, match="more tokens than the 4"):
        made.read(made.begin(1), torch.tensor([[1, 2, 3, 4, 5]]), torch.ones(1, 5, dtype=torch.bool))
