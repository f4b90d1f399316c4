"""What real sets do that the format does not say: each is read as it is, reported, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qsft_datasets.lerobot import open_source
from qsft_datasets.source import SourceEpisode, VideoStretch
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import encode_png

from .made_sets import (
    SIZE,
    TASKS,
    camera_entry,
    frames_of,
    listed,
    state_of,
    write_json,
    write_v2,
    write_v3,
    write_video,
)

FRONT = "observation.images.front"


def first_episode(root: Path) -> SourceEpisode:
    source = open_source(root)
    return source.read(source.references()[0])


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


def test_a_set_that_states_another_version_than_its_files_have_is_read_as_its_files_are(tmp_path: Path):
    """Sets by other tools: v3.0 is stated, and everything lies as in v2."""
    camera = "observation.images.front"
    root = write_v2(tmp_path / "a", videos={camera: "libx264"}, info={"codebase_version": "v3.0", "video_path": None})
    source = open_source(root)
    assert source.description.notes == ("meta/info.json states v3.0; the episodes are listed as in v2, and read so.",)
    episode = source.read(source.references()[1])
    np.testing.assert_array_equal(np.asarray(episode.steps["action"]), 2 * state_of(1, 4))
    assert isinstance(episode.steps[camera], VideoStretch)
    other = open_source(write_v3(tmp_path / "b", info={"codebase_version": "v2.1"}))
    assert [other.read(reference).length for reference in other.references()] == [6, 4, 5]


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


def test_fewer_data_files_than_listed_name_the_missing_one_and_leave_the_others_readable(tmp_path: Path):
    source = open_source(write_v2(tmp_path, lengths=(6, 4, 5)))
    (tmp_path / "data/chunk-000/episode_000001.parquet").unlink()
    assert source.description.notes == ("1 files are missing: data/chunk-000/episode_000001.parquet.",)
    assert source.missing_files() == ("data/chunk-000/episode_000001.parquet",)  # type: ignore[attr-defined]
    references = source.references()
    assert len(references) == 3
    with pytest.raises(DatasetError, match=r"episode_000001\.parquet is missing"):
        source.read(references[1])
    assert source.read(references[2]).length == 5


def test_a_missing_video_is_named_when_it_is_asked_for(tmp_path: Path):
    source = open_source(write_v2(tmp_path, videos={FRONT: "libx264"}))
    (tmp_path / f"videos/chunk-000/{FRONT}/episode_000001.mp4").unlink()
    episode = source.read(source.references()[1])
    assert np.asarray(episode.steps["action"]).shape == (4, 3)
    with pytest.raises(DatasetError, match=r"episode_000001\.mp4 is missing: the metadata names it"):
        episode.steps[FRONT]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("meta/info.json", "info.json is missing"),
        ("meta/episodes.jsonl", "episodes.jsonl is missing"),
        ("data/chunk-000", "episode_000000.parquet is missing: the metadata names 2 data files and none"),
    ],
)
def test_missing_metadata_is_named(tmp_path: Path, name: str, reason: str):
    root = write_v2(tmp_path / "set")
    (root / name).rename(tmp_path / "gone")
    with pytest.raises(DatasetError, match=reason):
        open_source(root).references()


def test_a_version_3_set_without_an_episode_table_is_refused(tmp_path: Path):
    root = write_v3(tmp_path / "set")
    (root / "meta/episodes").rename(tmp_path / "gone")
    with pytest.raises(DatasetError, match=r"meta/episodes holds no episode table"):
        open_source(root).references()


@pytest.mark.parametrize("version", ["v1.6", "v4.0", None, 3])
def test_an_unknown_version_is_refused_with_those_that_are_known(tmp_path: Path, version: object):
    root = write_v2(tmp_path, info={"codebase_version": version})
    with pytest.raises(DatasetError, match=r"known are v2.0, v2.1, v3.0"):
        open_source(root).references()


def test_counts_that_contradict_the_list_of_episodes_are_reported(tmp_path: Path):
    root = write_v2(
        tmp_path, info={"total_episodes": 100, "total_frames": 99, "splits": {"train": "0:100", "x": "all"}}
    )
    source = open_source(root)
    assert source.description.notes == (
        "meta/info.json: split 'x' is 'all', not 'first:end'; it is not used.",
        "meta/info.json says total_episodes 100; the list of episodes has 2.",
        "meta/info.json says total_frames 99; the list of episodes has 10.",
        "meta/info.json: split 'train' ends at episode 100; the last one listed is 1.",
    )
    assert len(source.references()) == 2


def test_another_number_of_rows_than_listed_is_refused(tmp_path: Path):
    lines: Any = [{"episode_index": 0, "tasks": ["x"], "length": 7}, {"episode_index": 1, "tasks": ["x"], "length": 4}]
    source = open_source(write_v2(tmp_path, episodes=lines))
    with pytest.raises(DatasetError, match=r"episode_000000.parquet has 6 rows of episode 0; the list .* says 7"):
        source.read(source.references()[0])


def test_rows_out_of_order_are_refused(tmp_path: Path):
    root = write_v2(tmp_path, columns={"frame_index": lambda episode, length: list(range(length))[::-1]})
    with pytest.raises(DatasetError, match=r"rows of episode 0 are not in the order of frame_index"):
        first_episode(root)


def test_a_file_that_says_it_is_another_episode_is_reported(tmp_path: Path):
    root = write_v2(tmp_path, columns={"episode_index": lambda episode, length: [episode + 50] * length})
    gaps = first_episode(root).gaps
    assert gaps == ("episode_000000.parquet: column episode_index says 50; the name of the file is believed.",)


def test_an_episode_that_is_not_in_its_file_is_refused(tmp_path: Path):
    root = write_v3(tmp_path, columns={"episode_index": lambda episode, length: [episode + 50] * length})
    with pytest.raises(DatasetError, match=r"file-000.parquet holds no rows of episode 0"):
        first_episode(root)


def test_without_a_column_of_episodes_the_table_says_where_rows_begin(tmp_path: Path):
    source = open_source(write_v3(tmp_path, columns={"episode_index": None}, declared={"episode_index": None}))
    for number, reference in enumerate(source.references()):
        episode = source.read(reference)
        np.testing.assert_array_equal(np.asarray(episode.steps["action"]), 2 * state_of(number, episode.length))


def test_folders_of_another_size_are_found_by_the_written_pattern(tmp_path: Path):
    root = write_v2(tmp_path, info={"chunks_size": 1, "data_path": "d{episode_chunk:02d}/e{episode_index}.parquet"})
    for number in range(2):
        target = root / f"d{number:02d}/e{number}.parquet"
        target.parent.mkdir()
        (root / f"data/chunk-000/episode_{number:06d}.parquet").rename(target)
    source = open_source(root)
    assert [reference.file for reference in source.references()] == ["d00/e0.parquet", "d01/e1.parquet"]
    assert source.read(source.references()[1]).length == 4


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("data/{shard}.parquet", r"'shard' is not known. Known: chunk_index, episode_chunk, episode_index"),
        ("data/{episode_index.__class__}.parquet", "no pattern of file names"),
        ("data/{episode_index:999999999d}.parquet", "no pattern of file names"),
        ("../../etc/{episode_index}", "lies outside of the data set"),
        ("/etc/{episode_index}", "lies outside of the data set"),
        ("data/\0{episode_index}", "no pattern of file names"),
        (7, "data_path is 7"),
    ],
)
def test_patterns_that_are_none_are_refused(tmp_path: Path, pattern: object, reason: str):
    with pytest.raises(DatasetError, match=reason):
        open_source(write_v2(tmp_path, info={"data_path": pattern})).references()


@pytest.mark.parametrize("fps", [0, -5, True, "fast", "1e999999999", float("nan"), [30], "30/0"])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, fps: object):
    with pytest.raises(DatasetError, match=r"info.json states fps"):
        open_source(write_v2(tmp_path, fps=fps)).references()


def test_a_set_that_states_no_rate_has_none(tmp_path: Path):
    assert open_source(write_v2(tmp_path, info={"fps": None})).description.fps is None


def test_time_stamps_at_odds_with_the_rate_are_reported(tmp_path: Path):
    def column(episode: int, length: int) -> np.ndarray:
        times = np.arange(length) / 20
        times[3:] += 0.5
        return times

    gaps = first_episode(write_v2(tmp_path, columns={"timestamp": column})).gaps
    assert gaps == (
        "timestamp: 5 of 5 steps do not last 1/10 s; the worst, from step 2 to 3, lasts 0.550 s.",
        "timestamp: advances at 20.000 steps per second; meta/info.json says 10.",
    )


def test_another_codec_size_and_rate_than_declared_are_reported(tmp_path: Path):
    declared = {**camera_entry("video", **{"video.codec": "av1"}), "shape": [480, 640, 3]}
    root = write_v2(tmp_path, videos={FRONT: "libx264"}, declared={FRONT: declared}, info={"fps": 5})
    description = open_source(root).description
    assert description.notes == (
        f"meta/info.json says '{FRONT}' is av1; its files are h264.",
        f"meta/info.json declares '{FRONT}' as [480, 640, 3]; its files are [{SIZE}, {SIZE}].",
        f"meta/info.json says 5 steps per second; the files of '{FRONT}' say 10.",
    )
    assert description.feature(FRONT).shape == (SIZE, SIZE, 3)


def test_pictures_of_two_sizes_in_one_camera_are_refused(tmp_path: Path):
    root = write_v2(tmp_path, videos={FRONT: "libx264"})
    path = root / f"videos/chunk-000/{FRONT}/episode_000001.mp4"
    write_video(path, [picture[:32] for picture in frames_of(1, 4)])
    source = open_source(root)
    steps = source.read(source.references()[1]).steps
    with pytest.raises(DatasetError, match=r"episode_000001.mp4 shows 32 x 64 pixels; the first file 64 x 64"):
        steps[FRONT]


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_video_truncated_in_the_middle_names_file_and_frame_and_spares_the_other_columns(
    tmp_path: Path, version: str
):
    videos = {FRONT: "libx264"}
    root = (
        write_v2(tmp_path, lengths=(30,), videos=videos)
        if version == "v2"
        else write_v3(tmp_path, files=((10, 20),), videos=videos)
    )
    path = next(root.rglob("*.mp4"))
    generator = np.random.default_rng(0)
    noise = [generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(30)]
    write_video(path, noise, is_streamable=True)
    source = open_source(root)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    episode = source.read(source.references()[-1])
    assert np.asarray(episode.steps["action"]).shape == (episode.length, 3)
    with pytest.raises(DatasetError, match=rf"{path.name} has \d+ .*frame (\d+) is missing"):
        episode.steps[FRONT]


def test_a_depth_camera_is_marked_and_has_one_channel(tmp_path: Path):
    root = write_v2(
        tmp_path,
        videos={FRONT: "libx264", "observation.images.depth": "libx264"},
        declared={"observation.images.depth": camera_entry("video", **{"video.is_depth_map": True})},
    )
    feature = open_source(root).description.feature("observation.images.depth")
    assert (feature.shape, feature.note) == ((SIZE, SIZE, 1), "depth map, no colour picture")


def test_what_the_list_of_episodes_says_is_kept_per_episode(tmp_path: Path):
    lines: Any = [
        {
            "episode_index": 1,
            "tasks": ["x"],
            "length": 4,
            "success": False,
            "operator": "b",
            "score": 2,
            "at": {"x": 1},
        },
        {"episode_index": 0, "tasks": ["x"], "length": 6, "success": True, "score": 0.5, "goal": [1, 2.5]},
    ]
    source = open_source(write_v2(tmp_path, episodes=lines))
    values = [source.read(reference).episode for reference in source.references()]
    assert values[0]["episodes/success"] is True and values[1]["episodes/success"] is False
    assert values[0]["episodes/score"] == 0.5 and values[1]["episodes/score"] == 2.0
    assert "episodes/operator" not in values[0] and values[1]["episodes/operator"] == "b"
    assert values[1]["episodes/at"] == '{"x": 1}'
    np.testing.assert_array_equal(np.asarray(values[0]["episodes/goal"]), [1.0, 2.5])
    assert source.description.feature("episodes/goal").shape == (2,)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            '{"episode_index": 0, "tasks": [], "length": 6}\n{"episode_index": 0, "tasks": [], "length": 6}',
            "second time",
        ),
        ('{"episode_index": 0, "tasks": [], "length": 6}\n{"episode_ind', r"line 2, is no valid JSON"),
        ('{"episode_index": 0, "tasks": []}', "line 1, has length None"),
        ('{"episode_index": -1, "tasks": [], "length": 6}', "has episode_index -1"),
        ('{"episode_index": 0, "tasks": [3], "length": 6}', r"has tasks \[3\]"),
        ('{"episode_index": 0, "tasks": [], "length": 0}', "without steps"),
        ("[1, 2]", "holds no JSON object"),
        ("", "lists no episodes"),
    ],
)
def test_a_damaged_list_of_episodes_names_the_line(tmp_path: Path, lines: str, reason: str):
    root = write_v2(tmp_path)
    (root / "meta/episodes.jsonl").write_text(lines)
    with pytest.raises(DatasetError, match=reason):
        open_source(root).references()


def test_two_texts_for_one_task_are_refused(tmp_path: Path):
    root = write_v2(tmp_path, tasks=[{"task_index": 0, "task": "a"}, {"task_index": 0, "task": "b"}])
    with pytest.raises(DatasetError, match=r"gives task 0 a second text: 'b' after 'a'"):
        open_source(root).references()


@pytest.mark.parametrize("cut", [3, 200, 2000])
def test_a_truncated_data_file_is_named(tmp_path: Path, cut: int):
    source = open_source(write_v2(tmp_path))
    path = tmp_path / "data/chunk-000/episode_000001.parquet"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DatasetError, match=r"episode_000001.parquet is truncated or damaged"):
        source.read(source.references()[1])


def test_a_damaged_first_episode_does_not_hide_the_others(tmp_path: Path):
    root = write_v2(tmp_path, videos={FRONT: "libx264"})
    (root / "data/chunk-000/episode_000000.parquet").write_bytes(b"PAR1 nothing")
    (root / f"videos/chunk-000/{FRONT}/episode_000000.mp4").write_bytes(b"nothing")
    source = open_source(root)
    assert [note.split(" is ")[0].rpartition("/")[2] for note in source.description.notes] == [
        "episode_000000.parquet",
        "episode_000000.mp4",
    ]
    first, second = source.references()
    with pytest.raises(DatasetError, match=r"episode_000000.parquet is truncated or damaged"):
        source.read(first)
    episode = source.read(second)
    assert isinstance(episode.steps[FRONT], VideoStretch)
    np.testing.assert_array_equal(np.asarray(episode.steps["action"]), 2 * state_of(1, 4))


def test_a_file_that_git_lfs_has_not_fetched_says_so(tmp_path: Path):
    source = open_source(write_v2(tmp_path))
    path = tmp_path / "data/chunk-000/episode_000001.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n")
    with pytest.raises(DatasetError, match=r"episode_000001.parquet is a pointer of Git LFS.*git lfs pull"):
        source.read(source.references()[1])


def test_a_set_in_the_cache_of_the_hub_has_its_name_and_its_links_are_followed(tmp_path: Path):
    column: Any = {FRONT: lambda episode, length: pa.array(["images/0.png"] * length)}
    root = tmp_path / "datasets--lerobot--pusht" / "snapshots" / "0a1b2c"
    (root / "images").mkdir(parents=True)
    blob = tmp_path / "blob"
    blob.write_bytes(encode_png(frames_of(0, 1)[0]))
    (root / "images/0.png").symlink_to(blob)
    write_v2(root, columns=column, declared={FRONT: camera_entry("image")})
    source = open_source(root)
    assert source.description.name == "pusht"
    assert listed(source.read(source.references()[0]).steps[FRONT]) == [blob.read_bytes()] * 6


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


def test_pictures_outside_of_the_data_set_are_not_read(tmp_path: Path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    columns: Any = {FRONT: lambda episode, length: pa.array(["../secret.png"] * length)}
    steps = first_episode(write_v2(tmp_path / "set", columns=columns, declared={FRONT: camera_entry("image")})).steps
    with pytest.raises(DatasetError, match=r"Pictures must lie inside of the data set"):
        steps[FRONT]


def test_info_in_utf_8_with_a_byte_order_mark_is_read(tmp_path: Path):
    root = write_v2(tmp_path)
    path = root / "meta/info.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert open_source(root).description.robot_type == "made"


@pytest.mark.parametrize("content", [{"codebase_version": "v2.1"}, {"codebase_version": "v2.1", "features": {"a": 3}}])
def test_info_without_features_is_refused(tmp_path: Path, content: dict[str, object]):
    write_json(tmp_path / "meta/info.json", content)
    with pytest.raises(DatasetError, match=r"declares no features|'a' has no dtype"):
        open_source(tmp_path).references()
