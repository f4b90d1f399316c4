"""Labelling in place: the columns by hand, the same bytes twice, and nothing else changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qsft_datasets.labeling import LabelRequest, OutcomeRequest, label_dataset
from vlm_qsft.data import DatasetReader
from vlm_qsft.data.folder_lock import FolderLock
from vlm_qsft.errors import DatasetError, InUse, InvalidSetting, UnknownName

from .sets import LENGTHS, SUCCESSES, content

LAST = np.cumsum(LENGTHS) - 1


def test_binary01_pays_at_the_end_of_successes(root: Path):
    label_dataset(root, LabelRequest(rule="binary01", gamma=0.9))
    reader = DatasetReader(root)
    reward = np.zeros(sum(LENGTHS))
    reward[LAST] = SUCCESSES
    np.testing.assert_array_equal(reader.column("next.reward"), reward)
    np.testing.assert_allclose(reader.column("mc_return")[:4], [0.9**3, 0.9**2, 0.9, 1.0], rtol=1e-6)


def test_vgps_ends_a_success_three_steps_early_and_never_pays_a_failure(root: Path):
    label_dataset(root, LabelRequest(rule="vgps", gamma=0.5))
    reader = DatasetReader(root)
    assert reader.column("next.reward")[:4].tolist() == [0, 1, 1, 1]
    assert reader.column("next.terminated")[:4].tolist() == [False, True, True, True]
    assert reader.column("mc_return")[:4].tolist() == [0.5, 1, 1, 1]
    assert reader.column("mc_return")[4:10].tolist() == [0] * 6
    assert reader.column("next.truncated")[4:10].tolist() == [False] * 5 + [True]


def test_recap_normalises_by_the_longest_episode(root: Path):
    summary = label_dataset(root, LabelRequest(rule="recap", gamma=1.0, failure_penalty=4.0))
    # W = 7 - 1 + 4 = 10
    assert (summary.settings.longest, summary.settings.return_mapping.scale) == (7, 0.1)
    returns = DatasetReader(root).column("mc_return")
    np.testing.assert_allclose(returns[:4], [0.7, 0.8, 0.9, 1.0], atol=1e-6)
    np.testing.assert_allclose(returns[4:10], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], atol=1e-6)


def test_recap_charges_a_failure_the_longest_episode_unless_told_otherwise(root: Path):
    assert label_dataset(root, LabelRequest(rule="recap")).settings.failure_penalty == 7.0


def test_every_episode_says_who_decided_and_what_was_recorded(root: Path):
    label_dataset(root, LabelRequest(rule="binary01", outcome=OutcomeRequest(("assume-failure",))))
    attributes = DatasetReader(root).episodes.attributes
    assert attributes["outcome_source"] == ("assumed",) * 5
    assert attributes["recorded_success"] == SUCCESSES
    assert attributes["quality"] == ("good", "poor", "good", "poor", "good")


def test_the_same_request_again_changes_no_byte_and_no_file(root: Path):
    request = LabelRequest(rule="recap", gamma=0.9, counterfactual=0.5, seed=3)
    assert label_dataset(root, request).changed
    before, times = content(root), {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert not label_dataset(root, request).changed
    assert content(root) == before
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times


def test_two_requests_in_turn_come_back_to_the_same_bytes(root: Path):
    first = LabelRequest(rule="binary01", gamma=0.5, counterfactual=0.0, outcome=OutcomeRequest(("flag",)))
    second = LabelRequest(rule="vgps", gamma=0.9, outcome=OutcomeRequest(("assume-success",)), counterfactual=1.0)
    label_dataset(root, second)
    label_dataset(root, first)
    before = content(root)
    label_dataset(root, second)
    assert content(root) != before
    label_dataset(root, first)
    assert content(root) == before


def test_what_is_not_asked_for_stays(root: Path):
    label_dataset(root, LabelRequest(rule="vgps", gamma=0.8, outcome=OutcomeRequest(("assume-success",))))
    label_dataset(root, LabelRequest(counterfactual=0.4))
    reader = DatasetReader(root)
    assert reader.metadata.labels is not None
    assert (reader.metadata.labels.reward_rule, reader.metadata.labels.gamma) == ("vgps", 0.8)
    assert set(reader.episodes.attributes["outcome_source"][:5]) == {"assumed"}
    label_dataset(root, LabelRequest(gamma=0.7))
    assert DatasetReader(root).n_episodes == 7


def test_data_files_whose_labels_stay_are_not_written_again(root: Path):
    file = root / "data/chunk-000/file-000.parquet"
    inode = file.stat().st_ino
    label_dataset(root, LabelRequest(rule="binary01", gamma=0.5))
    assert file.stat().st_ino == inode
    label_dataset(root, LabelRequest(rule="vgps"))
    assert file.stat().st_ino != inode


def test_pictures_and_numbers_keep_their_bytes(root: Path, pristine: Path):
    label_dataset(root, LabelRequest(rule="recap", gamma=1.0))
    before, after = (pq.read_table(part / "data/chunk-000/file-000.parquet") for part in (pristine, root))
    labels = {"next.reward", "next.terminated", "mc_return", "next.truncated", "next.success"}
    for name in set(before.column_names) - labels:
        assert before.column(name).equals(after.column(name)), name
    footers = [pq.read_metadata(part / "data/chunk-000/file-000.parquet") for part in (pristine, root)]
    groups = [[footer.row_group(n).num_rows for n in range(footer.num_row_groups)] for footer in footers]
    assert groups[0] == groups[1] == list(LENGTHS)
    column = footers[1].row_group(0).column(0)
    assert (column.path_in_schema, column.compression) == ("observation.images.front.bytes", "UNCOMPRESSED")


def test_metadata_agrees_with_the_new_labels(root: Path):
    label_dataset(root, LabelRequest(rule="vgps", gamma=0.5))
    reader, stats = DatasetReader(root), json.loads((root / "meta/stats.json").read_text())
    returns = reader.column("mc_return").astype(np.float64)
    assert stats["mc_return"]["mean"] == [pytest.approx(returns.mean())]
    assert stats["next.terminated"]["mean"] == [pytest.approx(9 / 25)]
    table = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet")
    assert table.column("stats/mc_return/max").to_pylist() == [[1.0], [0.0], [1.0], [0.0], [1.0]]
    labels = json.loads((root / "meta/labels.json").read_text())
    assert labels["return_mapping"] == {"scale": 0.5, "offset": 1.0}
    assert labels["outcomes"] == {"flag": 5}
    assert (labels["fps"], labels["recorded_by"]) == ("25/2", "script")


def test_another_outcome_changes_the_fingerprint_although_every_count_stays(root: Path, tmp_path: Path):
    def labelled(successes: str) -> str:
        file = tmp_path / "outcomes.csv"
        file.write_text("episode_index,success\n" + "\n".join(f"{e},{s}" for e, s in enumerate(successes)))
        label_dataset(root, LabelRequest(rule="binary01", outcome=OutcomeRequest(("csv",), csv=file)))
        return DatasetReader(root).fingerprint

    assert labelled("10000") != labelled("01000")


def test_a_set_without_labels_needs_a_rule(image_root: Path):
    with pytest.raises(InvalidSetting, match=r"no labels yet: choose a rule with --rule"):
        label_dataset(image_root, LabelRequest())


def test_older_formats_are_sent_to_the_converter(tmp_path: Path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text('{"codebase_version": "v2.1"}')
    with pytest.raises(DatasetError, match=r"format version v2.1: convert first \(`qsft convert"):
        label_dataset(tmp_path, LabelRequest(rule="binary01"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"nowhere is no folder"):
        label_dataset(tmp_path / "nowhere", LabelRequest(rule="binary01"))


def test_two_commands_do_not_label_at_once(root: Path):
    with FolderLock(root), pytest.raises(InUse, match=r"being written by another process"):
        label_dataset(root, LabelRequest(rule="vgps"))
    assert label_dataset(root, LabelRequest(rule="vgps")).changed


def test_a_damaged_data_file_is_named_and_the_set_stays(root: Path):
    file = root / "data/chunk-000/file-000.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    before = content(root)
    with pytest.raises(DatasetError, match=r"file-000.parquet is truncated"):
        label_dataset(root, LabelRequest(rule="vgps"))
    assert content(root) == before


def test_requests_that_make_no_sense_are_refused():
    with pytest.raises(UnknownName, match=r"Did you mean 'vgps'"):
        LabelRequest(rule="vpgs")
    with pytest.raises(UnknownName, match=r"Outcome 'flags' is not known"):
        OutcomeRequest(("flags",))
    with pytest.raises(InvalidSetting, match=r"expected 0 to 1"):
        LabelRequest(counterfactual=1.5)
    with pytest.raises(InvalidSetting, match=r"a success and a failure: choose one"):
        OutcomeRequest(("assume-success", "assume-failure"))
    with pytest.raises(InvalidSetting, match=r"no regular expression"):
        OutcomeRequest(("path",), pattern="(")


def test_a_penalty_belongs_to_recap(root: Path):
    with pytest.raises(InvalidSetting, match=r"'vgps' has no failure penalty"):
        label_dataset(root, LabelRequest(rule="vgps", failure_penalty=3.0))


def test_other_files_of_the_set_stay(root: Path):
    (root / "meta/modality.json").write_text("{}")
    (root / "data/README.md").write_text("notes")
    label_dataset(root, LabelRequest(rule="vgps"))
    assert (root / "meta/modality.json").read_text() == "{}"
    assert (root / "data/README.md").read_text() == "notes"
    assert not (root / "relabeling").exists()
