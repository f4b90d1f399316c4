"""What the source gives of the three layouts, against what was written."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from qsft_datasets.hdf5 import open_source, recognise
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import decode, encode_png

from .writing import BOWL, CAMERAS, array, write_aloha, write_robomimic


def test_demos_come_in_natural_order(tmp_path: Path) -> None:
    source = open_source(write_robomimic(tmp_path / "lift.hdf5", [2] * 12))
    assert [reference.key for reference in source.references()] == [f"lift.hdf5#demo_{i}" for i in range(12)]


def test_robomimic_states_rate_and_robot(tmp_path: Path) -> None:
    description = open_source(write_robomimic(tmp_path / "lift.hdf5")).description
    assert (description.format, description.fps, description.robot_type) == ("hdf5-robomimic", Fraction(20), "Panda")


def test_arrays_are_of_steps_or_of_the_episode_by_their_rows(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5", [4, 6])
    with h5py.File(path, "r+") as file:
        for name in ("demo_0", "demo_1"):
            file[f"data/{name}/src_demo_inds"] = np.arange(4)  # has four rows as demo_0 has: no array of steps
            file[f"data/{name}/note"] = "slipped"
    source = open_source(path)
    assert source.description.feature("src_demo_inds").per_episode
    episode = source.read(source.references()[0])
    assert np.array_equal(np.asarray(episode.episode["src_demo_inds"]), np.arange(4))
    assert episode.episode["note"] == "slipped"
    assert "src_demo_inds" not in episode.steps


def test_a_demo_in_both_splits_says_so(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5", [4, 6])
    with h5py.File(path, "r+") as file:
        del file["mask/valid"]
        file["mask/valid"] = [b"demo_0", b"demo_1"]
    assert [reference.split for reference in open_source(path).references()] == ["train+valid", "valid"]


def test_libero_gives_the_instruction_and_its_cameras_as_they_are(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "pick_up_the_black_bowl_demo.hdf5", libero=True)
    source = open_source(tmp_path)
    assert source.description.format == "hdf5-libero"
    episode = source.read(source.references()[0])
    assert episode.episode["attributes/data/problem_info/language_instruction"] == BOWL
    with h5py.File(path) as file:  # upside down in the file; a mapping turns it
        assert np.array_equal(
            np.asarray(episode.steps["obs/agentview_rgb"]), array(file, "data/demo_0/obs/agentview_rgb")[()]
        )


def test_aloha_files_are_episodes_in_natural_order(tmp_path: Path) -> None:
    for index in (0, 2, 10):
        write_aloha(tmp_path / f"episode_{index}.hdf5", seed=index)
    source = pickle.loads(pickle.dumps(open_source(tmp_path)))
    assert source.description.format == "hdf5-aloha"
    assert [reference.key for reference in source.references()] == [
        "episode_0.hdf5",
        "episode_2.hdf5",
        "episode_10.hdf5",
    ]
    episode = source.read(source.references()[1])
    assert episode.length == 5
    assert episode.episode == {"attributes/sim": False, "attributes/compress": True}


def test_padded_pictures_of_aloha_lose_their_padding_and_nothing_else(tmp_path: Path) -> None:
    path = write_aloha(tmp_path / "episode_0.hdf5")
    source = open_source(path)
    episode = source.read(source.references()[0])
    assert "compress_len" not in episode.steps
    with h5py.File(path) as file:
        stated = {tuple(row) for row in array(file, "compress_len")[()].astype(int).tolist()}
        for camera in CAMERAS:
            values = episode.steps[f"observations/images/{camera}"]
            assert isinstance(values, list)
            found = [picture for picture in values if isinstance(picture, bytes)]
            rows = array(file, f"observations/images/{camera}")[()]
            assert tuple(len(picture) for picture in found) in stated
            assert all(row.tobytes().startswith(picture) for row, picture in zip(rows, found, strict=True))
            assert all(not any(row[len(p) :]) for row, p in zip(rows, found, strict=True))
            assert decode(found[0]).shape == (24, 32, 3)
    feature = source.description.feature("observations/images/cam_high")
    assert (feature.kind, feature.shape) == ("image", (24, 32, 3))


def test_raw_pictures_of_aloha_are_arrays(tmp_path: Path) -> None:
    path = write_aloha(tmp_path / "episode_0.hdf5", compress=False)
    source = open_source(tmp_path)
    episode = source.read(source.references()[0])
    with h5py.File(path) as file:
        for name in ("observations/images/cam_low", "observations/qpos", "action", "base_action"):
            values = np.asarray(episode.steps[name])
            assert values.dtype == array(file, name).dtype
            assert np.array_equal(values, array(file, name)[()])


@pytest.mark.parametrize("stored", ["variable", "fixed"])
def test_encoded_pictures_of_any_storage_are_read(tmp_path: Path, stored: str) -> None:
    picture = encode_png(np.zeros((4, 5, 3), dtype=np.uint8))
    path = tmp_path / "episode_0.hdf5"
    with h5py.File(path, "w") as file:
        file["action"] = np.zeros((2, 7))
        file["observations/qpos"] = np.ones((2, 7))
        if stored == "fixed":
            file["observations/images/head"] = np.array([picture, picture], dtype=f"S{len(picture) + 9}")
        else:
            rows = file.create_dataset("observations/images/head", (2,), dtype=h5py.vlen_dtype(np.uint8))
            rows[0] = rows[1] = np.frombuffer(picture, dtype=np.uint8)
    source = open_source(path)
    assert source.read(source.references()[0]).steps["observations/images/head"] == [picture, picture]


def test_numbers_keep_their_type_and_become_native(tmp_path: Path) -> None:
    path = tmp_path / "episode_0.hdf5"
    values = {
        "observations/big": np.array([[1.5], [2.5]], dtype=">f8"),
        "observations/half": np.array([[1.5], [2.5]], dtype="<f2"),
        "observations/whole": np.array([2**62, -1], dtype=">i8"),
        "observations/flag": np.array([True, False]),
    }
    with h5py.File(path, "w") as file:
        file["action"] = np.zeros((2, 7))
        for name, written in values.items():
            file[name] = written
    source = open_source(path)
    episode = source.read(source.references()[0])
    for name, written in values.items():
        read = np.asarray(episode.steps[name])
        assert read.dtype == written.dtype.newbyteorder("=")
        assert source.description.feature(name).dtype == read.dtype.name
        assert read.tolist() == written.tolist()


def test_texts_per_step_and_per_episode_are_read(tmp_path: Path) -> None:
    path = write_aloha(tmp_path / "episode_0.hdf5", 2)
    with h5py.File(path, "r+") as file:
        file["observations/plan"] = ["grasp", "größer"]
        file["language_raw"] = ["fold the towel"]
    source = open_source(path)
    episode = source.read(source.references()[0])
    assert episode.steps["observations/plan"] == ["grasp", "größer"]
    assert episode.episode["language_raw"] == "fold the towel"


def test_foreign_files_and_folders_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "notes.hdf5").write_text("no HDF5")
    (tmp_path / "info.json").write_text("{}")
    assert not recognise(tmp_path)
    assert not recognise(tmp_path / "info.json")
    assert not recognise(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"notes\.hdf5 is truncated or damaged"):
        open_source(tmp_path)


def test_an_unknown_layout_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(DatasetError, match=r"x\.h5 has an unknown layout: it holds weights"):
        open_source(tmp_path)
