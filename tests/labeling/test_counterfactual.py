"""Counterfactual negatives: whose copy, which wrong instruction, what they say, and that they can be removed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.labeling import LabelRequest, OutcomeRequest, label_dataset
from qsft_datasets.labeling.counterfactual import choose_counterfactuals
from qsft_datasets.labeling.outcome import Outcome
from vlm_qsft.data import DatasetReader
from vlm_qsft.data.reader import DatasetReader as Reader
from vlm_qsft.errors import DatasetError

from .sets import INSTRUCTIONS, LENGTHS, content, write_set

SUCCESS, FAILURE = Outcome(True, True, False, "flag"), Outcome(False, False, True, "flag")


def chosen(instructions: list[str], outcomes: list[Outcome], share: float = 1.0, seed: int = 0):
    told = [(text,) for text in instructions]
    return choose_counterfactuals(outcomes, told, sorted(set(instructions)), share=share, seed=seed)


def test_only_successes_are_copied_and_always_under_another_instruction():
    instructions = ["a", "b", "c", "a", "b"] * 20
    outcomes = [SUCCESS if number % 3 else FAILURE for number in range(100)]
    copies = chosen(instructions, outcomes)
    assert [copy.of for copy in copies] == [number for number in range(100) if number % 3]
    assert all(copy.instruction != instructions[copy.of] for copy in copies)
    assert {copy.instruction for copy in copies} == {"a", "b", "c"}
    assert all(sorted(set(instructions))[copy.task] == copy.instruction for copy in copies)


def test_a_larger_share_keeps_the_smaller_choice_and_a_seed_changes_it():
    instructions, outcomes = ["a", "b"] * 25, [SUCCESS] * 50
    some, more = chosen(instructions, outcomes, 0.3), chosen(instructions, outcomes, 0.6)
    assert (len(some), len(more)) == (15, 30)
    assert {copy.of for copy in some} < {copy.of for copy in more}
    assert chosen(instructions, outcomes, 0.3, seed=1) != some
    assert chosen(instructions, outcomes, 0.3) == some


def test_capitals_spaces_and_a_full_stop_make_no_other_instruction():
    with pytest.raises(DatasetError, match=r"same instruction \('Pick it up.'\): there is no wrong one"):
        chosen(["Pick it up.", "pick  it up", "PICK IT UP"], [SUCCESS] * 3)


def test_an_empty_instruction_is_neither_copied_nor_given():
    copies = chosen(["a", "", "b"], [SUCCESS] * 3)
    assert [copy.of for copy in copies] == [0, 2]
    assert [copy.instruction for copy in copies] == ["b", "a"]


def test_an_episode_that_was_told_several_things_gets_none_of_them():
    told = [("a", "b"), ("a",), ("b",), ("c",)]
    copies = choose_counterfactuals([SUCCESS, FAILURE, FAILURE, FAILURE], told, ("a", "b", "c"), share=1.0, seed=0)
    assert [(copy.of, copy.instruction) for copy in copies] == [(0, "c")]


def test_without_a_success_there_is_nothing_to_copy():
    with pytest.raises(DatasetError, match=r"copies of successes"):
        chosen(["a", "b"], [FAILURE] * 2)


def test_a_copy_shows_its_original_and_is_a_failure(root: Path):
    summary = label_dataset(root, LabelRequest(rule="binary01", gamma=0.5, counterfactual=1.0))
    reader = DatasetReader(root)
    assert (summary.copies, reader.n_episodes, reader.n_frames) == (3, 8, 25 + 4 + 5 + 7)
    table = reader.episodes
    assert table.attributes["counterfactual"] == (False,) * 5 + (True,) * 3
    assert table.attributes["counterfactual_of"] == (None,) * 5 + (0, 2, 4)
    assert table.attributes["outcome_source"] == ("flag",) * 5 + ("counterfactual",) * 3
    assert table.success is not None and table.terminated is not None and table.truncated is not None
    for copy, original in zip(range(5, 8), (0, 2, 4), strict=True):
        assert (table.success[copy], table.terminated[copy], table.truncated[copy]) == (False, False, True)
        assert table.instruction[copy] in INSTRUCTIONS and table.instruction[copy] != INSTRUCTIONS[original]
        assert_same_frames(reader, copy, original)
        rows = reader.frames_of([copy]).tolist()
        assert not reader.column("mc_return")[rows].any()
        assert {reader.instruction(row) for row in rows} == {table.instruction[copy]}
    np.testing.assert_array_equal(reader.column("index"), np.arange(41))
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["total_episodes"], info["total_frames"], info["splits"]) == (8, 41, {"train": "0:8"})
    stats = json.loads((root / "meta/stats.json").read_text())
    assert stats["action"]["count"] == [41]
    np.testing.assert_allclose(stats["action"]["mean"], reader.column("action").astype(np.float64).mean(axis=0))


def assert_same_frames(reader: Reader, copy: int, original: int) -> None:
    rows, originals = reader.frames_of([copy]), reader.frames_of([original])
    for key in ("action", "observation.state", "timestamp", "frame_index"):
        np.testing.assert_array_equal(reader.column(key)[rows], reader.column(key)[originals])
    for row, before in zip(rows.tolist(), originals.tolist(), strict=True):
        np.testing.assert_array_equal(reader.images(row)["front"], reader.images(before)["front"])


def test_removing_the_copies_gives_back_every_byte(root: Path):
    request = LabelRequest(rule="binary01", gamma=0.5)
    label_dataset(root, request)
    before = content(root)
    label_dataset(root, LabelRequest(counterfactual=1.0))
    assert content(root) != before
    label_dataset(root, LabelRequest(counterfactual=0.0))
    assert content(root) == before


def test_copies_follow_their_outcomes(root: Path):
    label_dataset(root, LabelRequest(rule="recap", gamma=1.0, failure_penalty=4.0, counterfactual=1.0))
    reader = DatasetReader(root)
    # a copy ends with -4 of at most 10, also where its original ended with 0
    assert reader.column("mc_return")[reader.frames_of([5])][-1] == pytest.approx(0.6)
    label_dataset(root, LabelRequest(outcome=OutcomeRequest(("assume-success",))))
    assert DatasetReader(root).n_episodes == 10


def test_copies_are_not_counted_by_a_csv(root: Path, tmp_path: Path):
    label_dataset(root, LabelRequest(rule="binary01", counterfactual=1.0))
    file = tmp_path / "o.csv"
    file.write_text("episode_index,success\n" + "".join(f"{e},1\n" for e in range(5)))
    label_dataset(root, LabelRequest(outcome=OutcomeRequest(("csv",), csv=file)))
    assert DatasetReader(root).n_episodes == 10
    file.write_text("episode_index,success\n" + "".join(f"{e},1\n" for e in range(6)))
    with pytest.raises(DatasetError, match=r"episode '5' is not in this data set; episodes are 0 to 4"):
        label_dataset(root, LabelRequest(outcome=OutcomeRequest(("csv",), csv=file)))


def test_a_seed_without_copies_is_no_difference(root: Path):
    label_dataset(root, LabelRequest(rule="binary01", seed=1))
    assert not label_dataset(root, LabelRequest(rule="binary01", seed=2)).changed


def test_copies_count_the_worst_return_under_kept_rewards(image_root: Path):
    label_dataset(image_root, LabelRequest(rule="keep", gamma=0.5, counterfactual=1.0))
    reader = DatasetReader(image_root)
    assert not reader.column("mc_return")[reader.frames_of(range(5, 8))].any()


def test_splits_of_others_get_a_split_of_copies(tmp_path: Path):
    root = write_set(tmp_path / "set")
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "splits": {"train": "0:4", "test": "4:5"}}))
    label_dataset(root, LabelRequest(rule="binary01", counterfactual=1.0))
    expected = {"train": "0:4", "test": "4:5", "counterfactual": "5:8"}
    assert json.loads(path.read_text())["splits"] == expected
    label_dataset(root, LabelRequest(counterfactual=0.0))
    assert json.loads(path.read_text())["splits"] == {"train": "0:4", "test": "4:5"}
    assert sum(LENGTHS) == json.loads(path.read_text())["total_frames"]
