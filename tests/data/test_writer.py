"""DatasetWriter: nothing half-written looks finished, what does not fit is refused, and a start continues."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from vlm_qsft.data import DatasetReader, DatasetWriter, LabelSettings, write_episodes
from vlm_qsft.errors import (
    DatasetError,
    InUse,
    InvalidSetting,
    NotFinite,
    ShapeMismatch,
    StorageError,
    TargetOutOfRange,
    UnknownName,
)
from vlm_qsft.images import encode_jpeg, encode_png

from .scripted import LABELS, SCHEMA, pictures_of, scripted_episode


def open_writer(root: Path, *, labels: LabelSettings = LABELS, **settings: Any) -> DatasetWriter:
    return DatasetWriter(root, SCHEMA, labels=labels, **settings)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_writer_that_was_closed_continues_with_the_same_bytes(tmp_path: Path):
    with open_writer(tmp_path / "whole") as writer:
        for seed in range(4):
            writer.add_episode(scripted_episode(seed))
        writer.finalize()
    for seed in range(4):
        with open_writer(tmp_path / "parts") as writer:
            assert writer.n_episodes == seed
            assert writer.add_episode(scripted_episode(seed)) == seed
    with open_writer(tmp_path / "parts") as writer:
        writer.finalize()
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_an_unfinalized_folder_is_refused_with_what_to_do(tmp_path: Path):
    with open_writer(tmp_path) as writer:
        writer.add_episode(scripted_episode(0))
    with pytest.raises(DatasetError, match=r"not finalized: 1 complete episodes are waiting.*Run the command"):
        DatasetReader(tmp_path)


def test_data_without_meta_is_no_data_set_and_finalizing_again_repairs_it(tmp_path: Path):
    with open_writer(tmp_path) as writer:
        writer.add_episode(scripted_episode(0))
    (tmp_path / "data/chunk-000").mkdir(parents=True)
    (tmp_path / "data/chunk-000/file-000.parquet").write_bytes(b"PAR1 left by a kill")
    with pytest.raises(DatasetError, match=r"not finalized"):
        DatasetReader(tmp_path)
    with open_writer(tmp_path) as writer:
        writer.finalize()
    assert DatasetReader(tmp_path).n_episodes == 1


def test_a_partial_file_of_a_killed_process_does_not_count(tmp_path: Path):
    with open_writer(tmp_path) as writer:
        writer.add_episode(scripted_episode(0))
    (tmp_path / "staging/.episode-000001.parquet.4711.partial").write_bytes(b"PAR1 half")
    with open_writer(tmp_path) as writer:
        assert writer.n_episodes == 1
        writer.finalize()
    assert not (tmp_path / "staging").exists()


def test_one_row_group_per_episode_and_no_file_per_frame(dataset_root: Path):
    files = [path for path in dataset_root.rglob("*") if path.is_file()]
    assert len(files) == 6
    footer = pq.read_metadata(dataset_root / "data/chunk-000/file-000.parquet")
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [3, 4, 5, 6, 3, 4]


def test_two_writers_of_one_folder_are_refused(tmp_path: Path):
    with open_writer(tmp_path), pytest.raises(InUse, match=r"being written by another process"):
        open_writer(tmp_path)


def test_other_settings_are_refused_by_name(tmp_path: Path):
    open_writer(tmp_path, recipe={"seed": 1}).close()
    other = LabelSettings("binary01", 0.9, "script")
    with pytest.raises(InvalidSetting, match=r"labels\.gamma was 0\.5, is 0\.9 now; recipe\.seed was 1, is 2 now"):
        open_writer(tmp_path, recipe={"seed": 2}, labels=other)


def test_a_finalized_set_is_not_written_again(dataset_root: Path):
    with pytest.raises(DatasetError, match=r"finalized data set already"):
        open_writer(dataset_root)


def test_write_episodes_returns_at_once_on_its_own_result_and_refuses_another(dataset_root: Path):
    def never(_job: int):
        raise AssertionError("a finalized set needs no episode")

    before = content(dataset_root)
    write_episodes(dataset_root, SCHEMA, list(range(6)), never, labels=LABELS)
    assert content(dataset_root) == before
    with pytest.raises(InvalidSetting, match=r"recipe\.episodes was 6, is 7 now"):
        write_episodes(dataset_root, SCHEMA, list(range(7)), never, labels=LABELS)


def test_finalizing_nothing_is_an_error(tmp_path: Path):
    with open_writer(tmp_path) as writer, pytest.raises(DatasetError, match=r"no complete episode"):
        writer.finalize()


def test_encoded_pictures_pass_through_byte_by_byte(tmp_path: Path):
    episode = scripted_episode(0)
    images = {
        "front": [encode_jpeg(p) for p in pictures_of(0, "front")],
        "wrist": [encode_png(p) for p in pictures_of(0, "wrist")],
    }
    with open_writer(tmp_path) as writer:
        writer.add_episode(replace(episode, images=images))
        writer.finalize()
    table = pq.read_table(tmp_path / "data/chunk-000/file-000.parquet")
    for camera, encoded in images.items():
        assert [entry["bytes"] for entry in table.column(f"observation.images.{camera}").to_pylist()] == encoded


BAD_EPISODES = {
    "missing camera": (
        lambda e: replace(e, images={"front": e.images["front"]}),
        DatasetError,
        "Camera 'wrist' is missing from the episode. Given: front; declared: front, wrist",
    ),
    "unknown camera": (
        lambda e: replace(e, images={**e.images, "wirst": e.images["wrist"]}),
        UnknownName,
        "Did you mean 'wrist'",
    ),
    "picture size": (
        lambda e: replace(e, images={**e.images, "wrist": e.images["wrist"][:, :4]}),
        ShapeMismatch,
        r"Camera 'wrist' has uint8 \(3, 4, 8, 3\); expected uint8 \(3, 8, 8, 3\)",
    ),
    "broken picture": (
        lambda e: replace(e, images={**e.images, "wrist": [b"\xff\xd8\xff"] * 3}),
        DatasetError,
        "Camera 'wrist', frame 0: 3 bytes",
    ),
    "action size": (
        lambda e: replace(e, action=e.action[:, :1]),
        ShapeMismatch,
        r"action has float32 \(3, 1\); expected numbers \(3, 2\): 3 frames of dx, gripper",
    ),
    "state length": (lambda e: replace(e, state=e.state[:-1]), ShapeMismatch, r"state has float32 \(2, 3\)"),
    "NaN": (
        lambda e: replace(e, action=np.where(np.arange(6).reshape(3, 2) == 3, np.nan, e.action)),
        NotFinite,
        "action 'gripper' is nan in frame 1",
    ),
    "rule": (lambda e: replace(e, reward=e.reward * 0.5), DatasetError, "contradict rule 'binary01'"),
    "no end": (lambda e: replace(e, terminated=False), DatasetError, "neither terminated nor truncated"),
    "attribute": (lambda e: replace(e, attributes={"a/b": 1}), DatasetError, "Attribute 'a/b' is 1"),
}


@pytest.mark.parametrize("name", BAD_EPISODES)
def test_an_episode_that_does_not_fit_is_refused_and_nothing_is_stored(name: str, tmp_path: Path):
    change, kind, message = BAD_EPISODES[name]
    with open_writer(tmp_path) as writer:
        with pytest.raises(kind, match=message):
            writer.add_episode(change(scripted_episode(0)))
        assert writer.n_episodes == 0
        assert writer.add_episode(scripted_episode(0)) == 0


def test_returns_outside_the_unit_interval_name_the_rule(tmp_path: Path):
    episode = replace(scripted_episode(1), reward=np.full(4, -1.0, np.float32))
    with (
        open_writer(tmp_path, labels=LabelSettings("keep", 1.0, "script")) as writer,
        pytest.raises(TargetOutOfRange, match=r"rule 'keep' gives returns from -4 to -1"),
    ):
        writer.add_episode(episode)


def test_an_attribute_of_two_types_is_refused_when_finalizing(tmp_path: Path):
    with open_writer(tmp_path) as writer:
        writer.add_episode(replace(scripted_episode(0), attributes={"seed": 1}))
        writer.add_episode(replace(scripted_episode(1), attributes={"seed": "1"}))
        with pytest.raises(DatasetError, match=r"'seed' has several types: int in episode 0, str in episode 1"):
            writer.finalize()


def test_a_full_disk_is_a_storage_error_and_loses_nothing(tmp_path: Path):
    with open_writer(tmp_path) as writer:
        writer.add_episode(scripted_episode(0))
        # Writing to /dev/full answers ENOSPC: the partial file of the next episode is made a link to it.
        partial = tmp_path / f"staging/.episode-000001.parquet.{os.getpid()}.partial"
        partial.symlink_to("/dev/full")
        with pytest.raises(StorageError, match=r"episode-000001.*No space left on device.*it continues"):
            writer.add_episode(scripted_episode(1))
        assert not partial.is_symlink()
        assert writer.n_episodes == 1
        writer.add_episode(scripted_episode(1))
        writer.finalize()
    assert DatasetReader(tmp_path).n_episodes == 2


def test_the_writer_refuses_unknown_formats():
    with pytest.raises(UnknownName, match=r"Valid: jpeg, png"):
        open_writer(Path("unused"), image_format="webp")


def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/measurements.csv").write_text("years of work")
    before = content(tmp_path)
    with pytest.raises(DatasetError, match=r"not empty \(data\) and holds no data set"):
        open_writer(tmp_path)
    with pytest.raises(DatasetError, match=r"not empty"):
        write_episodes(tmp_path, SCHEMA, [0, 1], scripted_episode, labels=LABELS)
    assert content(tmp_path) == before and not (tmp_path / "staging").exists()


def test_videos_of_something_else_are_left_alone(tmp_path: Path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/holiday.mp4").write_bytes(b"precious")
    with pytest.raises(DatasetError, match=r"not empty \(videos\) and holds no data set"):
        open_writer(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["videos", "holiday.mp4"]


def test_a_folder_in_which_a_start_was_killed_at_once_can_be_begun(tmp_path: Path):
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/.plan.json.4711.partial").write_text("{")
    (tmp_path / ".lock").touch()
    write_episodes(tmp_path, SCHEMA, [0, 1], scripted_episode, labels=LABELS)
    assert DatasetReader(tmp_path).n_episodes == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "meta"]


@pytest.mark.parametrize("name", ["staging/plan.json", "meta/labels.json"])
def test_a_damaged_record_is_named(tmp_path: Path, name: str):
    with open_writer(tmp_path) as writer:
        writer.add_episode(scripted_episode(0))
        if name.startswith("meta"):
            writer.finalize()
    (tmp_path / name).write_text("{")
    with pytest.raises(DatasetError, match=rf"{name} is no valid JSON"):
        write_episodes(tmp_path, SCHEMA, [0], scripted_episode, labels=LABELS)
