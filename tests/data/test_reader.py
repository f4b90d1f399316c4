"""DatasetReader: every value comes back, transitions at the ends of episodes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlm_qsft.data import DatasetReader, DatasetSchema, DatasetWriter, LabelSettings
from vlm_qsft.errors import (
    DatasetError,
    InvalidSetting,
    NotFinite,
    ShapeMismatch,
    TargetOutOfRange,
    UnknownName,
)

from .scripted import LABELS, SCHEMA, scripted_episode

LENGTHS = [3, 4, 5, 6, 3, 4]
DATA_FILE = "data/chunk-000/file-000.parquet"


@pytest.fixture
def copied(dataset_root: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(dataset_root, tmp_path / "copy"))


def rewrite(root: Path, key: str, change) -> None:
    """Replace one column of the data file."""
    path = root / DATA_FILE
    table = pq.read_table(path)
    place = table.column_names.index(key)
    pq.write_table(table.set_column(place, key, change(table.column(key).combine_chunks())), path)


def edit_info(root: Path, **changes) -> None:
    path = root / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_every_number_picture_and_attribute_comes_back(reader: DatasetReader):
    assert reader.schema == SCHEMA
    assert reader.n_frames == sum(LENGTHS)
    assert reader.episodes.length.tolist() == LENGTHS
    episodes = [scripted_episode(seed) for seed in range(6)]
    np.testing.assert_array_equal(reader.column("action"), np.concatenate([e.action for e in episodes]))
    np.testing.assert_array_equal(reader.column("observation.state"), np.concatenate([e.state for e in episodes]))
    np.testing.assert_array_equal(
        reader.column("next.reward"), np.concatenate([np.asarray(e.reward) for e in episodes])
    )
    row = 0
    for episode in episodes:
        for frame in range(episode.length):
            for camera, picture in reader.images(row).items():
                np.testing.assert_array_equal(picture, np.asarray(episode.images[camera])[frame])
            assert reader.instruction(row) == episode.instruction
            row += 1
    table = reader.episodes
    assert table.instruction == tuple(e.instruction for e in episodes)
    assert table.success is not None and table.success.tolist() == [True, False] * 3
    assert table.attributes["seed"] == (0, 1, 2, 3, 4, 5)
    assert table.attributes["quality"] == ("expert", "poor") * 3
    assert table.attributes["noise"] == (0.25,) * 6
    assert table.attributes["wrong_object"] == (False,) * 6


def test_labels_stand_on_the_last_frame_and_returns_are_discounted(reader: DatasetReader):
    """Episode 0 succeeds in 3 frames, episode 1 is cut after 4; gamma is 0.5."""
    assert reader.has_labels and reader.metadata.labels == LABELS
    assert reader.column("mc_return")[:7].tolist() == [0.25, 0.5, 1.0, 0, 0, 0, 0]
    assert reader.column("next.terminated")[:7].tolist() == [False, False, True, False, False, False, False]
    assert reader.column("next.truncated")[:7].tolist() == [False] * 6 + [True]
    assert reader.column("next.success")[:7].tolist() == [False, False, True, False, False, False, False]
    np.testing.assert_allclose(reader.column("timestamp")[:4], [0.0, 0.2, 0.4, 0.0])


def test_a_window_inside_an_episode(reader: DatasetReader):
    """Frame 8 is frame 1 of episode 2, which has frames 7 to 11."""
    window = reader.window(8, action_chunk=3, n_step=2)
    np.testing.assert_array_equal(window.actions, reader.column("action")[8:11])
    np.testing.assert_array_equal(window.state, reader.column("observation.state")[8])
    np.testing.assert_array_equal(window.next_state, reader.column("observation.state")[10])
    for camera in SCHEMA.cameras:
        np.testing.assert_array_equal(window.images[camera], np.asarray(scripted_episode(2).images[camera])[1])
        np.testing.assert_array_equal(window.next_images[camera], np.asarray(scripted_episode(2).images[camera])[3])
    assert window.rewards is not None and window.rewards.tolist() == [0, 0]
    assert (window.terminated, window.truncated, window.next_is_padding, window.steps_to_bootstrap) == (
        False,
        False,
        False,
        2,
    )
    assert window.instruction == "pick up the green cube"


def test_the_last_frame_keeps_its_reward_and_its_next_state_is_flagged(reader: DatasetReader):
    window = reader.window(11, action_chunk=3, n_step=2)
    assert window.rewards is not None and window.rewards.tolist() == [1, 0]
    assert window.terminated and not window.truncated
    assert window.next_is_padding and window.steps_to_bootstrap == 1
    np.testing.assert_array_equal(window.next_state, window.state)
    np.testing.assert_array_equal(window.actions, np.repeat(reader.column("action")[11:12], 3, axis=0))
    assert window.action_is_padding.tolist() == [False, True, True]


def test_a_window_that_reaches_the_end_of_a_truncated_episode_bootstraps_from_its_last_row(reader: DatasetReader):
    """Episode 1 has frames 3 to 6 and was cut off: frame 5 with two steps uses both rewards, s' is frame 6."""
    window = reader.window(5, n_step=2)
    assert window.steps_to_bootstrap == 2 and window.next_is_padding
    assert window.truncated and not window.terminated
    np.testing.assert_array_equal(window.next_state, reader.column("observation.state")[6])
    inside = reader.window(4, n_step=2)
    assert not inside.next_is_padding and not inside.truncated


def test_windows_never_leave_their_episode(reader: DatasetReader):
    rows = np.arange(reader.n_frames)
    window = reader.window_rows(rows, action_chunk=7, n_step=7)
    for column in (window.action_rows, window.reward_rows, window.next_rows[:, None]):
        same = reader.episode_of(column.ravel()).reshape(column.shape) == reader.episode_of(rows)[:, None]
        assert same.all()
    assert (window.steps_to_bootstrap == (~window.reward_is_padding).sum(axis=1)).all()


def test_pictures_are_left_out_where_they_are_not_asked_for(reader: DatasetReader):
    assert reader.window(0, images=False).images == {}
    assert list(reader.images(0, ["wrist"])) == ["wrist"]


def test_a_tiny_picture_memory_gives_the_same_pictures(dataset_root: Path, reader: DatasetReader):
    frugal = DatasetReader(dataset_root, picture_cache_bytes=1)
    for row in (0, 20, 3, 20, 0):
        np.testing.assert_array_equal(frugal.images(row)["front"], reader.images(row)["front"])


def test_frames_of_episodes(reader: DatasetReader):
    assert reader.frames_of([1, 0]).tolist() == [3, 4, 5, 6, 0, 1, 2]


def test_one_dimensional_state_and_action_and_a_fractional_rate(tmp_path: Path):
    """LeRobot stores vectors of one number as scalars, and 30000/1001 is no float."""
    schema = DatasetSchema({}, ("x",), ("dx",), Fraction(30000, 1001))
    episode = scripted_episode(0)
    with DatasetWriter(tmp_path, schema, labels=LABELS) as writer:
        writer.add_episode(replace(episode, images={}, state=episode.state[:, :1], action=episode.action[:, :1]))
        writer.finalize()
    reader = DatasetReader(tmp_path)
    assert reader.schema == schema
    assert reader.column("action").shape == (3, 1)
    np.testing.assert_array_equal(reader.window(2).state, episode.state[2, :1])


def test_a_camera_missing_from_the_data_set_lists_those_there_are(reader: DatasetReader):
    with pytest.raises(
        UnknownName, match=r"Camera 'wirst' is not known in this data set. Valid: front, wrist. Did you"
    ):
        reader.images(0, ["wirst"])


def test_a_declared_camera_without_a_column_names_the_file(copied: Path):
    path = copied / DATA_FILE
    pq.write_table(pq.read_table(path).drop_columns(["observation.images.wrist"]), path)
    with pytest.raises(DatasetError, match=r"file-000.parquet has no pictures in column 'observation.images.wrist'"):
        DatasetReader(copied).images(0)


def test_actions_of_another_size_than_declared(copied: Path):
    rewrite(copied, "action", lambda c: pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(75, np.float32)), 3))
    with pytest.raises(
        ShapeMismatch, match=r"'action' has 75 numbers in 25 frames; meta/info.json declares 2 per frame"
    ):
        DatasetReader(copied).column("action")


def test_nan_names_dimension_frame_and_episode(copied: Path):
    def spoil(column: pa.Array) -> pa.Array:
        values = column.flatten().to_numpy().copy()
        values[2 * 4 + 1] = np.nan
        return pa.FixedSizeListArray.from_arrays(pa.array(values), 2)

    rewrite(copied, "action", spoil)
    with pytest.raises(NotFinite, match=r"'gripper' of 'action' is nan in frame 4, episode 1"):
        DatasetReader(copied).column("action")


def test_returns_outside_the_unit_interval_name_the_rule(copied: Path):
    rewrite(copied, "mc_return", lambda column: pa.array(np.full(len(column), 3.0, np.float32)))
    with pytest.raises(TargetOutOfRange, match=r"'binary01' gives returns from 3 to 3"):
        DatasetReader(copied).column("mc_return")


@pytest.mark.parametrize("name", [DATA_FILE, "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_truncated_parquet_names_the_file(copied: Path, name: str, keep: float):
    path = copied / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DatasetError, match=f"{path.name} is truncated"):
        DatasetReader(copied)


def test_damage_inside_a_parquet_names_the_file(copied: Path):
    path = copied / DATA_FILE
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"file-000.parquet"):
        reader = DatasetReader(copied)
        for row in range(reader.n_frames):
            reader.images(row)


@pytest.mark.parametrize("name", [DATA_FILE, "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet"])
def test_a_missing_file_is_named(copied: Path, name: str):
    (copied / name).unlink()
    with pytest.raises(DatasetError, match=r"missing|no episode table"):
        DatasetReader(copied)


def test_other_versions_are_sent_to_the_converter(copied: Path):
    edit_info(copied, codebase_version="v2.1")
    with pytest.raises(DatasetError, match=r"format version v2.1; this reader takes v3.0. Convert it"):
        DatasetReader(copied)


@pytest.mark.parametrize("changes", [{"total_frames": 26}, {"total_episodes": 7}])
def test_counts_at_odds_with_the_metadata(copied: Path, changes: dict):
    edit_info(copied, **changes)
    with pytest.raises(DatasetError, match=r"meta/info.json announces"):
        DatasetReader(copied)


def test_fewer_rows_than_the_episode_table_announces(copied: Path):
    path = copied / DATA_FILE
    pq.write_table(pq.read_table(path).slice(0, 20), path)
    with pytest.raises(DatasetError, match=r"has 20 rows; the episode table announces 25"):
        DatasetReader(copied)


def test_a_folder_that_is_no_data_set(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"is no data set: meta/info.json is missing"):
        DatasetReader(tmp_path)


@pytest.mark.parametrize("index", [-1, 25])
def test_a_frame_outside_the_data_set(reader: DatasetReader, index: int):
    with pytest.raises(InvalidSetting, match=r"it has frames 0 to 24"):
        reader.window(index)


def test_an_unknown_column_lists_the_known_ones(reader: DatasetReader):
    with pytest.raises(UnknownName, match=r"Did you mean 'next.reward'"):
        reader.column("next.rewards")


def test_a_set_without_labels_has_transitions_without_rewards(copied: Path):
    path = copied / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"] = {key: value for key, value in info["features"].items() if not key.startswith("next.")}
    path.write_text(json.dumps(info))
    reader = DatasetReader(copied)
    assert not reader.has_labels
    assert reader.window(0).rewards is None and reader.window(0).terminated is None


def test_labels_settings_refuse_unknown_rules_and_impossible_gamma():
    with pytest.raises(UnknownName, match=r"Valid: binary01, keep"):
        LabelSettings("binary", 0.9, "script")
    with pytest.raises(InvalidSetting, match=r"gamma is 1.5"):
        LabelSettings("keep", 1.5, "script")


@pytest.mark.parametrize("index", [-1, 99])
def test_a_task_that_does_not_exist_is_never_another_one(copied: Path, index: int):
    rewrite(copied, "task_index", lambda column: pa.array([index] * len(column), pa.int64()))
    with pytest.raises(
        DatasetError, match=rf"Frame 0 of .* has task index {index}; meta/tasks.parquet has the tasks 0"
    ):
        DatasetReader(copied).instruction(0)


def test_a_metadata_file_that_cannot_be_opened_is_named(copied: Path):
    (copied / "meta/info.json").unlink()
    (copied / "meta/info.json").mkdir()
    with pytest.raises(DatasetError, match=r"info.json cannot be read: Is a directory"):
        DatasetReader(copied)
