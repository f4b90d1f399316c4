"""Checks of rows, features, numbers, time and statistics, each on a copy that is broken by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from vlm_qsft.data import KeptColumn
from vlm_qsft.errors import DatasetError

from .sets import (
    LENGTH,
    SCHEMA,
    edit_episodes,
    edit_frames,
    edit_json,
    facts,
    findings,
    only,
    with_action,
    with_state,
    write_set,
)


@pytest.mark.parametrize(
    "check",
    ["counts", "features", "finite", "time", "videos", "cameras", "instructions", "outcomes", "flags", "returns",
     "duplicates", "first actions", "action meaning", "gripper", "constant dimensions", "limits", "statistics"],
)  # fmt: skip
def test_a_good_set_passes_every_check(good: Path, check: str):
    assert findings(good, check) == []


def test_every_nan_is_found_with_its_first_place(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["action"][LENGTH + 3][1] = float("nan")
        columns["action"][4 * LENGTH][0] = float("inf")

    finding = only(edit_frames(root, edit), "finite")
    assert (finding.level, finding.episode, finding.frame) == ("error", 1, 3)
    assert finding.message == "'action: dy' is nan; 2 such numbers in 2 episodes."
    assert finding.episodes == (1, 4)


def test_counts_that_disagree_with_the_metadata(root: Path):
    edit_json(root, "info.json", lambda info: info.update(total_episodes=7, total_frames=100))
    messages = [finding.message for finding in findings(root, "counts")]
    assert messages == [
        "meta/info.json announces 7 episodes; the episode table lists 6.",
        "meta/info.json announces 100 frames; the lengths of the episodes sum to 144.",
    ]


def test_rows_that_are_missing_from_the_data(root: Path):
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows - 5), path)
    found = findings(root, "counts")
    assert found[0].message == "The data files hold 139 frames; the episode table announces 144."
    assert (found[1].episode, found[1].message) == (
        5, "The data files hold 19 frames of it; the episode table announces 24.",
    )  # fmt: skip


def test_a_data_file_that_is_missing_or_cut_off(root: Path):
    path = root / "data/chunk-000/file-000.parquet"
    content = path.read_bytes()
    path.unlink()
    messages = [finding.message for finding in findings(root, "counts")]
    assert messages[0] == "data/chunk-000/file-000.parquet is missing."
    assert messages[1].startswith("data/ holds no parquet file; meta/info.json announces 144 frames")
    path.write_bytes(content[:-50])
    with pytest.raises(Exception, match=r"file-000.parquet is truncated"):
        findings(root, "counts")


def test_indices_that_do_not_count(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["index"][30] = 7
        columns["frame_index"][50] = 0

    assert [(finding.episode, finding.frame) for finding in findings(edit_frames(root, edit), "counts")] == [
        (1, 6), (2, 2),
    ]  # fmt: skip


def test_an_episode_in_two_places_and_one_that_nobody_lists(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["episode_index"][-1] = 0

    assert findings(edit_frames(root, edit), "counts")[-1].message == "The frames of an episode lie in several places."


def test_features_that_are_not_in_the_files(root: Path):
    def edit(info: dict[str, Any]) -> None:
        info["features"]["observation.state"]["dtype"] = "float64"
        info["features"]["action"]["shape"] = [4]
        info["features"]["extra"] = {"dtype": "float32", "shape": [1], "names": None}
        del info["features"]["mc_return"]

    messages = [finding.message for finding in findings(edit_json(root, "info.json", edit), "features")]
    assert any("has no column 'extra'" in message for message in messages)
    assert any("has a column 'mc_return' that meta/info.json does not declare" in message for message in messages)
    assert any("'observation.state' is float; meta/info.json declares float64" in message.replace("float32", "float")
               for message in messages)  # fmt: skip
    assert any("'action' has 432 numbers in 144 frames; meta/info.json declares 4" in message for message in messages)


def test_an_action_under_another_name_is_recognised(root: Path):
    def edit(info: dict[str, Any]) -> None:
        info["features"]["actions"] = info["features"].pop("action")

    first = findings(edit_json(root, "info.json", edit), "features")[0]
    assert first.message == "There is no feature 'action'; 'actions' is there."


def test_a_frame_rate_that_the_time_stamps_contradict(root: Path):
    edit_json(root, "info.json", lambda info: info.update(fps=30))
    edit_json(root, "labels.json", lambda labels: labels.update(fps="30"))
    for rate, fraction in ((29.97, "30000/1001"), (3.75, "15/4")):
        stamps = [frame / rate for frame in range(LENGTH)] * 6
        edit_frames(root, lambda columns, stamps=stamps: columns.update(timestamp=stamps))
        finding = only(root, "time")
        assert finding.level == "error"
        assert f"that is {rate} frames per second; the data set states 30" in finding.message
        assert f"State the rate as {fraction}" in finding.remedy


def test_two_places_that_state_another_rate(root: Path):
    edit_json(root, "labels.json", lambda labels: labels.update(fps="21/2"))
    assert "meta/info.json states 10 frames per second, meta/labels.json 21/2" in findings(root, "time")[0].message


def test_gaps_and_steps_back_in_time(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        for row in range(LENGTH + 5, 2 * LENGTH):
            columns["timestamp"][row] += 0.3
        columns["timestamp"][3 * LENGTH + 2] = 0.0

    found = findings(edit_frames(root, edit), "time")
    assert [(finding.level, finding.episode, finding.frame) for finding in found] == [
        ("error", 3, 2), ("error", 1, 5),
    ]  # fmt: skip
    assert found[1].message.startswith("Time stamps have gaps: frames are missing: 0.4 s where 0.1 s are expected")


def test_an_episode_that_does_not_begin_at_zero(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["timestamp"] = [stamp + (2.4 if row >= LENGTH else 0) for row, stamp in enumerate(columns["timestamp"])]

    finding = only(edit_frames(root, edit), "time")
    assert (finding.level, finding.episode, finding.count) == ("warning", 1, 5)


def test_a_television_rate_is_written_as_a_fraction():
    from qsft_datasets.validation.check_time import nearest_rate

    assert [nearest_rate(rate) for rate in (29.97003, 12.5, 5.0, 3.75, 23.976)] == [
        "30000/1001", "25/2", "5", "15/4", "24000/1001",
    ]  # fmt: skip


def test_dimensions_that_never_change(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda number, made: with_action(with_state(made, 1, 0.5), 0, 0.0))
    found = findings(root, "constant dimensions")
    assert [finding.message for finding in found] == [
        "1 dimension of 'observation.state' never changes: 'observation.state: y' = 0.5.",
        "1 dimension of 'action' never changes: 'action: dx' = 0.",
    ]
    assert {finding.level for finding in found} == {"warning"}


def test_a_flag_of_the_source_that_never_changes_says_that_it_tells_nothing(tmp_path: Path):
    schema = replace(SCHEMA, kept={"source.reward": KeptColumn("float32", 1)})
    root = write_set(
        tmp_path / "set",
        lambda number, made: replace(made, kept={"source.reward": np.zeros((LENGTH, 1), np.float32)}),
        schema=schema,
    )
    finding = only(root, "constant dimensions")
    assert finding.message == "Every dimension of 'source.reward' never changes: 'source.reward' = 0."
    assert "let no outcome or rule depend on it" in finding.remedy


def test_what_a_conversion_left_out_is_counted(root: Path):
    (root / "meta/refused.json").write_text('[{"episode": "a#1", "reason": "damaged"}]')
    assert facts(root, "counts")["left out when converting"] == "1 episodes, see meta/refused.json"
    (root / "meta/refused.json").write_text("[")
    with pytest.raises(DatasetError, match=r"refused.json is no valid JSON"):
        findings(root, "counts")


def test_actions_that_never_change_at_all_are_an_error(tmp_path: Path):
    def still(number, made):
        for dimension in range(3):
            made = with_action(made, dimension, 0.0)
        return made

    assert findings(write_set(tmp_path / "set", still), "constant dimensions")[-1].level == "error"


def test_values_far_outside_the_rest(tmp_path: Path):
    def spike(number, made):
        values = made.state[:, 0].copy()
        values[7] = 400.0 if number == 3 else values[7]
        return with_state(made, 0, values)

    finding = only(write_set(tmp_path / "set", spike), "limits")
    assert (finding.level, finding.episode, finding.frame) == ("warning", 3, 7)
    assert finding.message.startswith("'observation.state: x' is 400; 98 % of its values lie from")


def test_statistics_that_do_not_describe_the_data(root: Path):
    def edit(stats: dict[str, Any]) -> None:
        stats["action"]["mean"][1] = 0.5
        stats["observation.state"]["count"] = [100]
        stats["action"]["q99"][0] = 9.0
        del stats["timestamp"]

    found = findings(edit_json(root, "stats.json", edit), "statistics")
    assert [finding.level for finding in found] == ["error", "error", "error", "warning"]
    assert found[0].message == "meta/stats.json has no statistics of timestamp."
    assert found[1].message == "meta/stats.json counts 100 frames of 'observation.state'; there are 144."
    assert found[2].message.startswith("meta/stats.json says mean 0.5 of 'action: dy'")
    assert "says q99 9 of 'action: dx'" in found[3].message


def test_statistics_of_pictures_that_describe_others(root: Path):
    def edit(stats: dict[str, Any]) -> None:
        stats["observation.images.front"]["mean"] = [[[0.1]], [[0.1]], [[0.1]]]
        stats["observation.images.wrist"]["mean"] = [0.5, 0.5, 0.5]

    found = findings(edit_json(root, "stats.json", edit), "statistics")
    assert [finding.level for finding in found] == ["warning", "error"]
    assert "sampled pictures have [0.51, 0.51, 0.5" in found[0].message
    assert "of shape (3,) for 'observation.images.wrist'; expected (3, 1, 1)" in found[1].message


def test_missing_statistics_are_an_error(root: Path):
    (root / "meta/stats.json").unlink()
    assert only(root, "statistics").message.startswith("meta/stats.json is missing")


def test_an_episode_table_that_is_out_of_step(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["dataset_from_index"][2] = 0

    finding = only(edit_episodes(root, edit), "counts")
    assert (finding.episode, finding.message) == (2, "An episode does not begin where the one before it ends.")


def test_the_measured_numbers_are_reported(good: Path):
    assert facts(good, "counts") == {"episodes": "6", "frames": "144"}
    assert facts(good, "time") == {"frame rate": "10 per second (10)"}
    assert np.isclose(float(SCHEMA.fps), 10)
