"""Files of real sets that are missing, truncated or not fetched: named, and the others stay readable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.lerobot import open_source
from qsft_datasets.source import VideoStretch
from vlm_qsft.errors import DatasetError

from .made_sets import (
    state_of,
    write_v2,
    write_v3,
)

FRONT = "observation.images.front"


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
