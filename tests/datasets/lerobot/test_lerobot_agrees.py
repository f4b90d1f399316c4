"""Where lerobot itself can load a set, what we read equals what it gives: numbers, instructions and decoded frames."""

from __future__ import annotations

import importlib
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.lerobot import open_source
from qsft_datasets.source import SourceEpisode, VideoStretch
from vlm_qsft.data import DatasetSchema, Episode, LabelSettings, write_episodes
from vlm_qsft.data.video_stretch import stretch_frames
from vlm_qsft.images import decode

from .made_sets import listed

pytestmark = pytest.mark.usefixtures("without_warnings_of_lerobot")

lerobot_dataset = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
SAMPLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "lerobot" / "g1_av1_v21_subset"
SIZE = 64


def pictures_of(episode: SourceEpisode, key: str) -> list[np.ndarray]:
    value = episode.steps[key]
    if isinstance(value, VideoStretch):
        return list(stretch_frames(value.path, value.from_s, value.to_s, value.n_frames))
    return [decode(encoded) for encoded in listed(value)]


def assert_agrees(root: Path, cameras: list[str], *, every: int = 1) -> None:
    """Hold every step of every episode against lerobot's item; pictures of every `every`-th one."""
    judge = lerobot_dataset.LeRobotDataset("local/set", root=root, video_backend="pyav")
    source = open_source(root)
    row = 0
    for reference in source.references():
        episode = source.read(reference)
        pictures = {camera: pictures_of(episode, camera) for camera in cameras}
        for step in range(episode.length):
            if step % every:
                continue
            item = judge[row + step]
            for key, values in episode.steps.items():
                if isinstance(values, np.ndarray):
                    judged = item[key].numpy()  # float64 arrives there as float32
                    np.testing.assert_array_equal(judged, values[step].astype(judged.dtype))
            for camera in cameras:
                theirs = (item[camera].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
                np.testing.assert_array_equal(theirs, pictures[camera][step])
            assert item["task"] == listed(episode.steps["task"])[step]
        row += episode.length
    assert row == judge.num_frames


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="The third-party samples are not beside this repository.")
def test_the_av1_sample_converted_by_lerobot_reads_as_the_original_and_as_lerobot_reads_it(tmp_path: Path):
    """Its conversion puts four episodes with an offset into one video and one row group."""
    converter = importlib.import_module("lerobot.scripts.convert_dataset_v21_to_v30")
    root = tmp_path / "g1"
    shutil.copytree(SAMPLE, root)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    converter.convert_dataset("local/g1", root=root, push_to_hub=False)
    camera = "observation.images.cam_high"
    ours, original = open_source(root), open_source(SAMPLE)
    assert ours.description.format == "lerobot-v3.0"
    for new, old in zip(ours.references(), original.references(), strict=True):
        episode, expected = ours.read(new), original.read(old)
        for key in ("observation.state", "action", "timestamp"):
            np.testing.assert_array_equal(np.asarray(episode.steps[key]), np.asarray(expected.steps[key]))
        assert episode.steps["task"] == expected.steps["task"]
    second = ours.read(ours.references()[1]).steps[camera]
    assert isinstance(second, VideoStretch)
    assert second.from_s == pytest.approx(290 / 30, abs=1e-6)
    judge = lerobot_dataset.LeRobotDataset("local/set", root=root, video_backend="pyav")
    frames = pictures_of(ours.read(ours.references()[1]), camera)
    unconverted = pictures_of(original.read(original.references()[1]), camera)
    assert len(frames) == len(unconverted) == 372
    for step in (0, 1, 185, 371):
        theirs = (judge[290 + step][camera].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(frames[step], theirs)
        np.testing.assert_array_equal(frames[step], unconverted[step])


@pytest.mark.parametrize("use_videos", [False, True])
def test_what_lerobot_writes_is_read_as_lerobot_reads_it(tmp_path: Path, use_videos: bool):
    camera = "observation.images.front"
    entry = {"dtype": "video" if use_videos else "image", "shape": (SIZE, SIZE, 3), "names": ["height", "width", "c"]}
    features = {
        camera: entry,
        "observation.state": {"dtype": "float64", "shape": (3,), "names": {"motors": ["x", "y", "z"]}},
        "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "gripper"]},
        "next.done": {"dtype": "bool", "shape": (1,), "names": None},
        "grid": {"dtype": "int64", "shape": (2, 3), "names": None},
    }
    root = tmp_path / "theirs"
    theirs = lerobot_dataset.LeRobotDataset.create(
        "local/theirs", fps=10, features=features, root=root, use_videos=use_videos
    )
    generator = np.random.default_rng(0)
    for number in range(3):
        for step in range(4 + number):
            theirs.add_frame(
                {
                    camera: generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
                    "observation.state": generator.normal(size=3),
                    "action": generator.normal(size=2).astype(np.float32),
                    "next.done": np.array([step == 3 + number]),
                    "grid": generator.integers(0, 9, (2, 3)),
                    "task": f"task {number % 2}",
                }
            )
        theirs.save_episode()
    theirs.finalize()
    assert_agrees(root, [camera])
    description = open_source(root).description
    assert description.feature("grid").shape == (2, 3)
    assert description.feature("observation.state").names == ("x", "y", "z")


def test_what_we_write_is_read_as_lerobot_reads_it(tmp_path: Path):
    schema = DatasetSchema({"front": (16, 24)}, ("x", "y"), ("dx", "gripper"), fps=Fraction(25, 2))

    def episode(number: int) -> Episode:
        generator = np.random.default_rng(number)
        length = 3 + number
        return Episode(
            images={"front": generator.integers(0, 256, (length, 16, 24, 3), dtype=np.uint8)},
            state=generator.normal(size=(length, 2)).astype(np.float32),
            action=generator.normal(size=(length, 2)).astype(np.float32),
            reward=np.eye(length, dtype=np.float32)[-1],
            terminated=True,
            truncated=False,
            success=True,
            instruction=f"task {number % 2}",
            attributes={"quality": "good", "seed": number},
        )

    labels = LabelSettings(reward_rule="binary01", gamma=0.5, source="test")
    write_episodes(tmp_path / "set", schema, [0, 1, 2], episode, labels=labels)
    assert_agrees(tmp_path / "set", ["observation.images.front"])
    source = open_source(tmp_path / "set")
    assert str(source.description.fps) == "25/2"
    values = source.read(source.references()[2]).episode
    assert values["episodes/attributes/seed"] == 2
    assert values["episodes/success"] is True
