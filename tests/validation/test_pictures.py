"""Checks of cameras and videos, each on a set that is broken by hand."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlm_qsft.data import DatasetSchema

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
    write_set,
)


def with_camera(made, camera: str, pictures: np.ndarray):
    return replace(made, images={**made.images, camera: pictures})


def test_a_camera_that_is_black_everywhere_is_an_error(tmp_path: Path):
    black = np.full((LENGTH, 16, 16, 3), 3, np.uint8)
    finding = only(write_set(tmp_path / "set", lambda n, made: with_camera(made, "wrist", black)), "cameras")
    assert (finding.level, finding.message) == ("error", "Camera 'wrist' is black in 6 of 6 sampled episodes.")


def test_a_camera_that_is_of_one_colour_somewhere_is_a_warning(tmp_path: Path):
    grey = np.full((LENGTH, 16, 16, 3), 99, np.uint8)
    root = write_set(tmp_path / "set", lambda n, made: with_camera(made, "wrist", grey) if n == 4 else made)
    finding = only(root, "cameras")
    assert (finding.level, finding.episode) == ("warning", 4)
    assert finding.message == "Camera 'wrist' is of one colour in 1 of 6 sampled episodes."


def test_a_camera_that_is_frozen(tmp_path: Path):
    def freeze(number, made):
        return with_camera(made, "front", np.repeat(made.images["front"][:1], LENGTH, axis=0)) if number < 2 else made

    finding = only(write_set(tmp_path / "set", freeze), "cameras")
    assert (finding.level, finding.episodes) == ("warning", (0, 1))
    assert "frozen in 2 of 6 sampled episodes: the same picture from the first frame to the last" in finding.message


def test_a_still_picture_of_a_robot_that_stands_still_is_no_finding(tmp_path: Path):
    def still(number, made):
        if number:
            return made
        made = with_camera(made, "front", np.repeat(made.images["front"][:1], LENGTH, axis=0))
        for dimension in range(3):
            made = with_action(made, dimension, 0.0)
        return made

    assert findings(write_set(tmp_path / "set", still), "cameras") == []


def test_a_picture_that_is_missing_or_damaged(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["observation.images.front"][2 * LENGTH] = {"bytes": b"\x89PNG but no more", "path": None}
        columns["observation.images.wrist"][5 * LENGTH] = {"bytes": None, "path": "somewhere.png"}

    found = findings(edit_frames(root, edit), "cameras")
    assert [(finding.level, finding.episode, finding.frame) for finding in found] == [("error", 2, 0), ("error", 5, 0)]
    assert "no readable PNG or JPEG" in found[0].message and "has no picture" in found[1].message


def test_a_picture_of_another_size_and_a_camera_under_two_names(root: Path, tmp_path: Path):
    edit_json(root, "info.json", lambda info: info["features"]["observation.images.front"].update(shape=[48, 32, 3]))
    assert "has a picture of 24 x 32; meta/info.json declares 48 x 32" in only(root, "cameras").message
    schema = DatasetSchema({"a": (24, 32), "b": (24, 32)}, SCHEMA.state_names, SCHEMA.action_names, Fraction(10))

    def twice(number, made):
        return replace(made, images={"a": made.images["front"], "b": made.images["front"]})

    assert only(write_set(tmp_path / "two", twice, schema=schema), "cameras").message == (
        "Cameras 'a' and 'b' show the same pictures."
    )


@pytest.fixture(scope="session")
def pristine_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    root = tmp_path_factory.mktemp("video") / "set"
    features = {
        "observation.images.front": {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]},
        "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "dy"]},
    }
    logging.disable(logging.WARNING)
    theirs = lerobot.LeRobotDataset.create("local/video", fps=10, features=features, root=root)
    generator = np.random.default_rng(0)
    for number in range(3):
        for _ in range(12):
            image = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            numbers = generator.normal(size=(2, 2)).astype(np.float32)
            frame = {"observation.images.front": image, "observation.state": numbers[0], "action": numbers[1]}
            theirs.add_frame({**frame, "task": f"task {number}"})
        theirs.save_episode()
    theirs.finalize()
    logging.disable(logging.NOTSET)
    return root


def test_a_set_of_videos_passes_and_a_wrong_description_does_not(pristine_video: Path, tmp_path: Path):
    root = Path(shutil.copytree(pristine_video, tmp_path / "set"))
    for check in ("videos", "cameras", "counts", "features", "time", "flags", "returns"):
        assert findings(root, check) == [], check
    info = json.loads((root / "meta/info.json").read_text())
    note = info["features"]["observation.images.front"]["info"]
    codec = note["video.codec"]
    note["video.codec"] = "mp4v"
    info["features"]["observation.images.front"]["shape"] = [32, 64, 3]
    (root / "meta/info.json").write_text(json.dumps(info))
    messages = [finding.message for finding in findings(root, "videos")]
    assert messages[0].startswith("Another codec: videos/") and f"is {codec}; meta/info.json says mp4v" in messages[0]
    assert "is 64 x 64 (height x width); meta/info.json declares 32 x 64" in messages[1]


def test_videos_that_are_missing_cut_off_or_too_short(pristine_video: Path, tmp_path: Path):
    root = Path(shutil.copytree(pristine_video, tmp_path / "set"))
    video = next((root / "videos").rglob("*.mp4"))
    edit_episodes(root, lambda table: table["videos/observation.images.front/to_timestamp"].__setitem__(2, 9.0))
    finding = only(root, "videos")
    assert finding.message.startswith("Too short: ") and "lasts 3.60 s; its episodes need 9.00 s" in finding.message
    assert finding.episodes == (2,)
    edit_episodes(root, lambda table: table["videos/observation.images.front/to_timestamp"].__setitem__(2, 3.6))
    assert findings(root, "videos") == []
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert only(root, "videos").message.startswith("Unreadable video: ")
    video.unlink()
    finding = only(root, "videos")
    assert finding.message.endswith("file-000.mp4 is missing.") and finding.episodes == (0, 1, 2)
    assert findings(root, "cameras")[0].level == "error"


def test_the_report_says_how_many_pictures_were_looked_at(tmp_path: Path):
    root = write_set(tmp_path / "set")
    # Two cameras; every one of the six episodes, which are few, and four frames of each.
    expected = f"48 of {2 * 6 * LENGTH}: up to 4 frames of 6 of 6 episodes, every camera"
    assert facts(root, "cameras")["pictures looked at"] == expected
