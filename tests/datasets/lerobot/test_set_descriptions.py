"""Descriptions of real sets: versions, file patterns, rates and counts that contradict the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from qsft_datasets.lerobot import open_source
from qsft_datasets.source import VideoStretch
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import encode_png

from .made_sets import (
    camera_entry,
    frames_of,
    listed,
    state_of,
    write_json,
    write_v2,
    write_v3,
)
from .reading import first_episode

FRONT = "observation.images.front"


def entry(dtype: str, shape: list[int], names: object = None) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "names": names}


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
