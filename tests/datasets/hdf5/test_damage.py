"""Damaged, incomplete and hostile files: one error that names file and group, and nothing is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from qsft_datasets.hdf5 import open_source
from vlm_qsft.errors import DatasetError

from .writing import array, group, write_aloha, write_robomimic

Change = Callable[[h5py.File], object]


def read_all(path: Path) -> None:
    source = open_source(path)
    for reference in source.references():
        dict(source.read(reference).steps)


def changed(path: Path, change: Change) -> Path:
    write_robomimic(path, [4, 6, 5])
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace_with(name: str, values: object) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return change


def declare(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    del file[name]
    file.create_dataset(name, shape, dtype="f8", chunks=(1, *shape[1:]))


def refer(file: h5py.File) -> None:
    file["data/demo_1/obs/best"] = np.array([file["data/demo_0"].ref] * 6, dtype=h5py.ref_dtype)


def link_outside(file: h5py.File) -> None:
    del file["data/demo_1/obs/robot0_eef_pos"]
    file["data/demo_1/obs/robot0_eef_pos"] = h5py.ExternalLink("/etc/passwd", "/x")


def link_demo_outside(file: h5py.File) -> None:
    file["data/demo_3"] = h5py.ExternalLink("other.hdf5", "/data/demo_0")


def store_outside(file: h5py.File) -> None:
    del file["data/demo_1/rewards"]
    group(file, "data/demo_1").create_dataset("rewards", (6,), dtype="f8", external=[("/etc/passwd", 0, 48)])


def view_outside(file: h5py.File) -> None:
    del file["data/demo_1/rewards"]
    layout = h5py.VirtualLayout((6,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.hdf5", "rewards", shape=(6,))
    group(file, "data/demo_1").create_virtual_dataset("rewards", layout)


def hold_itself(file: h5py.File) -> None:
    file["data/demo_1/obs/again"] = file["data/demo_1"]


def attribute_reference(file: h5py.File) -> None:
    file["data/demo_1"].attrs.create("parent", file["data"].ref, dtype=h5py.ref_dtype)


CASES: dict[str, tuple[Change, str]] = {
    "rows": (replace_with("data/demo_1/obs/robot0_eef_pos", np.zeros((5, 3))), r"eef_pos' .* \(5, 3\); expected 6"),
    "no actions": (lambda f: f.pop("data/demo_1/actions"), r"'data/demo_1' .* has no array 'actions'"),
    "no obs": (lambda f: f.pop("data/demo_2/obs"), r"'data/demo_2' .* has no array 'obs/"),
    "no step": (replace_with("data/demo_1/actions", np.zeros((0, 7))), r"'data/demo_1/actions' .* has no row"),
    "num_samples": (lambda f: f["data/demo_1"].attrs.modify("num_samples", 9), r"'data/demo_1' .* num_samples 9; .* 6"),
    "huge": (lambda f: declare(f, "data/demo_1/rewards", (6, 2**40)), r"'data/demo_1/rewards' .* 0 are stored"),
    "huge rows": (lambda f: declare(f, "data/demo_1/actions", (2**50, 7)), r"'data/demo_1"),
    "never written": (lambda f: declare(f, "data/demo_1/rewards", (6, 1)), r"'data/demo_1/rewards' .* never written"),
    "references": (refer, r"'data/demo_1/obs/best' .* object references"),
    "attribute": (attribute_reference, r"Attribute 'parent' of 'data/demo_1'"),
    "record": (
        replace_with("data/demo_1/rewards", np.zeros(6, dtype=[("a", "f4")])),
        r"'data/demo_1/rewards' .* values",
    ),
    "complex": (replace_with("data/demo_1/rewards", np.zeros(6, dtype="c16")), r"'data/demo_1/rewards' .* complex128"),
    "opaque": (
        replace_with("data/demo_1/rewards", np.array([np.void(b"\x80\x04.")] * 6)),
        r"'data/demo_1/rewards' .*\|V3;",
    ),
    "external link": (link_outside, r"'data/demo_1/obs/robot0_eef_pos' .* link to another file \(/etc/passwd:/x\)"),
    "external demo": (link_demo_outside, r"'data/demo_3' .* link to another file \(other\.hdf5"),
    "external storage": (store_outside, r"'data/demo_1/rewards' .* stored in another file \(/etc/passwd\)"),
    "virtual": (view_outside, r"'data/demo_1/rewards' .* view of other files \(other\.hdf5\)"),
    "loop": (hold_itself, r"'data/demo_1.* holds itself"),
    "dangling": (
        lambda f: f.__setitem__("data/demo_1/obs/gone", h5py.SoftLink("/data/nothing")),
        r"'data/demo_1/obs/gone' .* /data/nothing, which is not there",
    ),
    "mask": (replace_with("mask/train", np.zeros(3)), r"'mask/train' .* no list of demo names"),
    "no demo": (lambda f: [f.pop(f"data/demo_{i}") for i in range(3)], r"'data' .* has no demo"),
    "no UTF-8": (
        lambda f: f.create_dataset("data/demo_1/note", data=np.array([b"\xff\xfe"])),
        r"'data/demo_1/note' .* no UTF-8",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_with_file_and_group(tmp_path: Path, case: str) -> None:
    change, message = CASES[case]
    path = changed(tmp_path / "lift.hdf5", change)
    with pytest.raises(DatasetError, match=message) as caught:
        read_all(path)
    assert "lift.hdf5" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_demo_leaves_the_others_readable(tmp_path: Path) -> None:
    path = changed(tmp_path / "lift.hdf5", lambda file: file.pop("data/demo_0/obs"))
    source = open_source(path)
    first, *others = source.references()
    with pytest.raises(DatasetError, match="'data/demo_0'"):
        dict(source.read(first).steps)
    assert [source.read(reference).length for reference in others] == [6, 5]


def test_nothing_damaged_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    path = changed(tmp_path / "lift.hdf5", lambda file: declare(file, "data/demo_1/next_obs/agentview_image", (6, 2)))
    source = open_source(path)
    episode = source.read(source.references()[1])
    assert np.asarray(episode.steps["actions"]).shape == (6, 7)
    with pytest.raises(DatasetError, match="never written"):
        episode.steps["next_obs/agentview_image"]


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, kept: float) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DatasetError, match=r"lift\.hdf5 is truncated or damaged \(.*\)\. Copy it again\."):
        read_all(path)


def test_one_truncated_file_of_a_folder_is_named(tmp_path: Path) -> None:
    for index in range(3):
        write_aloha(tmp_path / f"episode_{index}.hdf5", seed=index)
    damaged = tmp_path / "episode_0.hdf5"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    source = open_source(tmp_path)
    assert source.description.feature("action").shape == (14,)
    with pytest.raises(DatasetError, match=r"episode_0\.hdf5 is truncated"):
        source.references()


def test_a_file_of_another_layout_in_the_folder_is_named(tmp_path: Path) -> None:
    write_aloha(tmp_path / "episode_0.hdf5")
    write_robomimic(tmp_path / "lift.hdf5")
    with pytest.raises(DatasetError, match=r"lift\.hdf5 has not the layout of this set, hdf5-aloha"):
        open_source(tmp_path).references()


def test_a_picture_cut_short_is_named_with_its_step(tmp_path: Path) -> None:
    path = write_aloha(tmp_path / "episode_0.hdf5")
    with h5py.File(path, "r+") as file:
        array(file, "observations/images/cam_low")[3, 200:] = 0
    with pytest.raises(DatasetError, match=r"'observations/images/cam_low' .* no whole JPEG or PNG picture at step 3"):
        read_all(path)


def test_lengths_that_contradict_the_pictures_are_refused(tmp_path: Path) -> None:
    path = write_aloha(tmp_path / "episode_0.hdf5")
    with h5py.File(path, "r+") as file:
        lengths = array(file, "compress_len")
        lengths[:, 2] = lengths[:, 2] + 1
    with pytest.raises(DatasetError, match="no row of 'compress_len' says so"):
        read_all(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    source = open_source(write_aloha(tmp_path / "episode_0.hdf5"))
    reference = source.references()[0]
    (tmp_path / "episode_0.hdf5").unlink()
    with pytest.raises(DatasetError, match=r"episode_0\.hdf5"):
        source.read(reference)


def test_a_camera_that_one_episode_lacks_is_named_when_it_is_asked_for(tmp_path: Path) -> None:
    for index in range(2):
        write_aloha(tmp_path / f"episode_{index}.hdf5", seed=index)
    with h5py.File(tmp_path / "episode_1.hdf5", "r+") as file:
        del file["observations/images/cam_low"]
    source = open_source(tmp_path)
    episode = source.read(source.references()[1])
    assert np.asarray(episode.steps["action"]).shape == (5, 14)
    assert len(episode.steps["observations/images/cam_high"]) == 5  # type: ignore[arg-type]
    with pytest.raises(
        DatasetError, match=r"episode_1\.hdf5 has no array 'observations/images/cam_low'; other episodes"
    ):
        episode.steps["observations/images/cam_low"]
