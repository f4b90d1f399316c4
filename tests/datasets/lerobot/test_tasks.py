"""Instructions of real sets: one, several, none, empty, numbered or changing within an episode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsft_datasets.lerobot import open_source
from vlm_qsft.errors import DatasetError

from .made_sets import (
    TASKS,
    listed,
    write_v2,
)
from .reading import first_episode


def entry(dtype: str, shape: list[int], names: object = None) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "names": names}


def test_the_instruction_may_change_within_an_episode(tmp_path: Path):
    root = write_v2(tmp_path, columns={"task_index": lambda episode, length: [int(step > 2) for step in range(length)]})
    assert first_episode(root).steps["task"] == [TASKS[0]] * 3 + [TASKS[1]] * 3


def test_several_or_no_tasks_of_an_episode_are_a_feature_of_their_own(tmp_path: Path):
    lines: Any = [
        {"episode_index": 0, "tasks": list(TASKS), "length": 6},
        {"episode_index": 1, "tasks": [], "length": 4},
    ]
    source = open_source(write_v2(tmp_path, episodes=lines))
    assert source.description.feature("episodes/tasks").per_episode
    values = [source.read(reference).episode["episodes/tasks"] for reference in source.references()]
    assert values == ["push the block\npull the block", ""]


def test_an_empty_instruction_stays_empty(tmp_path: Path):
    root = write_v2(tmp_path, tasks=[{"task_index": 0, "task": ""}, {"task_index": 1, "task": None}])
    source = open_source(root)
    assert [set(listed(source.read(reference).steps["task"])) for reference in source.references()] == [{""}, {""}]


def test_without_a_list_of_tasks_the_only_task_of_an_episode_holds(tmp_path: Path):
    root = write_v2(tmp_path)
    (root / "meta/tasks.jsonl").unlink()
    assert first_episode(root).steps["task"] == [TASKS[0]] * 6


def test_a_task_that_is_not_listed_is_named(tmp_path: Path):
    root = write_v2(tmp_path, columns={"task_index": lambda episode, length: [7] * length})
    steps = first_episode(root).steps
    with pytest.raises(
        DatasetError, match=r"'task_index' is 7 in step 0, which is no task. The list of tasks has 0, 1"
    ):
        steps["task"]


def test_annotations_that_number_tasks_become_their_texts_and_others_stay_numbers(tmp_path: Path):
    columns: Any = {
        "annotation.human.validity": lambda episode, length: [1] * length,
        "annotation.progress": lambda episode, length: [100 + step for step in range(length)],
    }
    declared = {name: entry("int64", [1]) for name in columns}
    root = write_v2(tmp_path, columns=columns, declared=declared)
    steps = first_episode(root).steps
    assert steps["annotation.human.validity"] == [TASKS[1]] * 6
    np.testing.assert_array_equal(np.asarray(steps["annotation.progress"]), np.arange(100, 106))


def test_two_texts_for_one_task_are_refused(tmp_path: Path):
    root = write_v2(tmp_path, tasks=[{"task_index": 0, "task": "a"}, {"task_index": 0, "task": "b"}])
    with pytest.raises(DatasetError, match=r"gives task 0 a second text: 'b' after 'a'"):
        open_source(root).references()
