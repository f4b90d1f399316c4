"""Columns of real sets: names, types, shapes, texts and structures are read as they are, or reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qsft_datasets.lerobot import open_source
from vlm_qsft.errors import DatasetError

from .made_sets import (
    camera_entry,
    listed,
    state_of,
    write_v2,
)
from .reading import first_episode

FRONT = "observation.images.front"


def entry(dtype: str, shape: list[int], names: object = None) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "names": names}


def test_other_names_than_action_and_state_stay_what_they_are(tmp_path: Path):
    columns: Any = {
        "action": None,
        "observation.state": None,
        "actions": lambda episode, length: state_of(episode, length).tolist(),
        "state": lambda episode, length: (state_of(episode, length) + 1).tolist(),
    }
    declared = {
        "action": None,
        "observation.state": None,
        "actions": entry("float64", [3], ["x", "y", "z"]),
        "state": entry("float64", [3]),
    }
    root = write_v2(tmp_path, columns=columns, declared=declared)
    paths = [feature.path for feature in open_source(root).description.features]
    assert "actions" in paths and "state" in paths and "action" not in paths
    np.testing.assert_array_equal(np.asarray(first_episode(root).steps["actions"]), state_of(0, 6).astype(np.float64))


def test_numbers_keep_the_type_of_the_file_and_a_wrong_declaration_is_reported(tmp_path: Path):
    kinds = {"float64": pa.float64(), "float16": pa.float16(), "int8": pa.int8(), "uint16": pa.uint16()}
    columns: Any = {
        f"extra.{name}": lambda episode, length, kind=kind: pa.array(
            np.arange(length).astype(kind.to_pandas_dtype()), kind
        )
        for name, kind in kinds.items()
    }
    columns["extra.flag"] = lambda episode, length: pa.array([step % 2 == 0 for step in range(length)])
    declared = {name: entry("float32", [1]) for name in columns}
    root = write_v2(tmp_path, columns=columns, declared=declared)
    description = open_source(root).description
    steps = first_episode(root).steps
    for name in kinds:
        assert description.feature(f"extra.{name}").dtype == name
        values = np.asarray(steps[f"extra.{name}"])
        assert values.dtype == name
        np.testing.assert_array_equal(values, np.arange(6).astype(name))
        assert f"declares 'extra.{name}' as float32; the data are {name}" in "\n".join(description.notes)
    assert np.asarray(steps["extra.flag"]).dtype == bool


def test_one_number_per_step_is_told_from_a_list_of_one(tmp_path: Path):
    columns: Any = {
        "plain": lambda episode, length: pa.array(np.arange(length, dtype=np.float32)),
        "listed": lambda episode, length: pa.array([[step] for step in range(length)], pa.list_(pa.int64())),
    }
    declared = {"plain": entry("float32", [1]), "listed": entry("int64", [1])}
    root = write_v2(tmp_path, columns=columns, declared=declared)
    description, steps = open_source(root).description, first_episode(root).steps
    assert description.feature("plain").shape == () and np.asarray(steps["plain"]).shape == (6,)
    assert description.feature("listed").shape == (1,) and np.asarray(steps["listed"]).shape == (6, 1)
    assert description.notes == ()


def test_a_matrix_stored_as_nested_or_flat_lists_keeps_its_shape(tmp_path: Path):
    columns: Any = {
        "nested": lambda episode, length: [[[1, 2, step], [4, 5, 6]] for step in range(length)],
        "flat": lambda episode, length: [[1, 2, step, 4, 5, 6] for step in range(length)],
    }
    declared = {"nested": entry("int64", [2, 3]), "flat": entry("int64", [2, 3])}
    root = write_v2(tmp_path, columns=columns, declared=declared)
    steps = first_episode(root).steps
    expected = np.array([[[1, 2, step], [4, 5, 6]] for step in range(6)])
    np.testing.assert_array_equal(np.asarray(steps["nested"]), expected)
    np.testing.assert_array_equal(np.asarray(steps["flat"]), expected)


@pytest.mark.parametrize(
    "names",
    [
        ["x", "y", "z"],
        [["x", "y", "z"]],
        {"motors": ["x", "y", "z"]},
        {"arm": ["x", "y"], "hand": ["z"]},
        {"z": 2, "x": 0, "y": 1},
    ],
)
def test_names_are_found_in_every_way_in_which_they_are_written(tmp_path: Path, names: object):
    root = write_v2(tmp_path, declared={"action": entry("float32", [3], names)})
    assert open_source(root).description.feature("action").names == ("x", "y", "z")


@pytest.mark.parametrize("names", [["x", "y"], None, "x y z", {"motors": 3}, {"motors": {"a": []}}])
def test_names_that_do_not_fit_are_no_names(tmp_path: Path, names: object):
    root = write_v2(tmp_path, declared={"action": entry("float32", [3], names)})
    assert open_source(root).description.feature("action").names == ()


def test_repeated_names_get_their_number(tmp_path: Path):
    root = write_v2(tmp_path, declared={"action": entry("float32", [3], ["x", "gripper", "gripper"])})
    assert open_source(root).description.feature("action").names == ("x", "gripper_1", "gripper_2")


def test_undeclared_columns_are_offered_and_declared_ones_without_data_are_reported(tmp_path: Path):
    root = write_v2(
        tmp_path,
        columns={"extra": lambda episode, length: [0.5] * length},
        declared={"effort": entry("float32", [3]), FRONT: camera_entry("video")},
    )
    description = open_source(root).description
    assert description.feature("extra").note == "not declared in meta/info.json"
    assert description.notes == (
        "meta/info.json declares 'effort' (float32), which is no column of episode_000000.parquet; it is left out.",
        f"meta/info.json declares '{FRONT}' (video), which has no file; it is left out.",
    )


def test_next_done_is_offered_with_a_warning_and_is_never_an_end(tmp_path: Path):
    columns: Any = {"next.done": lambda episode, length: [step == length - 1 for step in range(length)]}
    root = write_v2(tmp_path, columns=columns, declared={"next.done": entry("bool", [1])})
    source = open_source(root)
    assert "neither terminated nor truncated" in source.description.feature("next.done").note
    episode = source.read(source.references()[0])
    np.testing.assert_array_equal(np.asarray(episode.steps["next.done"]), [False] * 5 + [True])


def test_texts_structures_and_bytes_come_as_texts_and_bytes(tmp_path: Path):
    columns: Any = {
        "note": lambda episode, length: pa.array(["a", None] * (length // 2)),
        "language_events": lambda episode, length: [[{"role": "user", "content": "stop"}]] * length,
        "blob": lambda episode, length: pa.array([b"\x00\x01"] * length),
        "nothing": lambda episode, length: pa.nulls(length),
    }
    root = write_v2(tmp_path, columns=columns)
    steps = first_episode(root).steps
    assert listed(steps["note"]) == ["a", ""] * 3
    assert json.loads(listed(steps["language_events"])[0]) == [{"role": "user", "content": "stop"}]
    assert listed(steps["blob"]) == [b"\x00\x01"] * 6
    assert "nothing" not in steps
    assert "Column 'nothing' is empty" in "\n".join(open_source(root).description.notes)


def test_a_missing_float_is_not_a_number_and_a_missing_whole_number_is_refused_when_asked_for(tmp_path: Path):
    columns: Any = {
        "force": lambda episode, length: pa.array([1.0, None] * (length // 2)),
        "button": lambda episode, length: pa.array([1, None] * (length // 2)),
    }
    root = write_v2(tmp_path, columns=columns)
    steps = first_episode(root).steps
    np.testing.assert_array_equal(np.asarray(steps["force"]), [1.0, np.nan] * 3)
    with pytest.raises(DatasetError, match=r"episode_000000.parquet: button' lacks 3 numbers"):
        steps["button"]


def test_lists_of_different_lengths_are_refused_with_the_step(tmp_path: Path):
    columns: Any = {"points": lambda episode, length: [[1.0] * (1 + (step == 3)) for step in range(length)]}
    steps = first_episode(write_v2(tmp_path, columns=columns)).steps
    with pytest.raises(DatasetError, match=r"points' has 2 numbers in step 3; expected 1 in every step"):
        steps["points"]


def test_a_column_that_appears_in_a_later_file_is_not_dropped_silently(tmp_path: Path):
    columns: Any = {"late": lambda episode, length: [float(episode)] * length}
    root = write_v2(tmp_path / "a")
    other = write_v2(tmp_path / "b", columns=columns)
    name = "data/chunk-000/episode_000001.parquet"
    (root / name).write_bytes((other / name).read_bytes())
    source = open_source(root)
    with pytest.raises(DatasetError, match=r"has a column 'late' that the first data file does not have"):
        source.read(source.references()[1])


def test_a_column_that_is_missing_in_a_later_file_is_named_when_asked_for(tmp_path: Path):
    source = open_source(write_v2(tmp_path))
    path = tmp_path / "data/chunk-000/episode_000001.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["action"]), path)
    steps = source.read(source.references()[1]).steps
    assert np.asarray(steps["observation.state"]).shape == (4, 3)
    with pytest.raises(DatasetError, match=r"episode_000001.parquet lacks the column 'action'"):
        steps["action"]
