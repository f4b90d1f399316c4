"""LeRobot is the judge: it must load what we write, agree on every value, and we must read what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vlm_qsft.data import DatasetReader
from vlm_qsft.data.schema import LABEL_DTYPES, image_key
from vlm_qsft.errors import DatasetError

from .scripted import SCHEMA, pictures_of, scripted_episode

pytestmark = pytest.mark.usefixtures("without_warnings_of_lerobot")

lerobot_dataset = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")


@pytest.fixture
def judged(dataset_root: Path):
    return lerobot_dataset.LeRobotDataset("local/scripted", root=dataset_root)


def test_lerobot_loads_what_we_write_and_agrees_on_every_value(judged, reader: DatasetReader):
    assert (judged.num_frames, judged.num_episodes, judged.fps) == (reader.n_frames, reader.n_episodes, 5)
    numbers = ["observation.state", "action", *LABEL_DTYPES, "timestamp", "frame_index", "episode_index", "index"]
    columns = {key: reader.column(key) for key in numbers}
    for row in range(reader.n_frames):
        item = judged[row]
        for key, values in columns.items():
            np.testing.assert_array_equal(item[key].numpy(), values[row], err_msg=f"{key}, frame {row}")
        for camera, picture in reader.images(row).items():
            theirs = (item[image_key(camera)].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
            np.testing.assert_array_equal(theirs, picture)
        assert item["task"] == reader.instruction(row)


def test_lerobot_sees_our_episode_columns_and_statistics(judged, reader: DatasetReader):
    episodes = judged.meta.episodes
    assert episodes["success"] == [True, False] * 3
    assert episodes["attributes/quality"] == ["expert", "poor"] * 3
    assert episodes["length"] == reader.episodes.length.tolist()
    actions = reader.column("action").astype(np.float64)
    statistics = judged.meta.stats
    assert set(statistics) == set(judged.meta.features)
    np.testing.assert_allclose(statistics["action"]["q99"], np.quantile(actions, 0.99, axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics["action"]["std"], actions.std(axis=0), rtol=1e-12)
    for camera in SCHEMA.cameras:
        assert statistics[image_key(camera)]["mean"].shape == (3, 1, 1)


def test_lerobot_windows_equal_ours(dataset_root: Path, reader: DatasetReader):
    period = 1 / 5
    theirs = lerobot_dataset.LeRobotDataset(
        "local/scripted",
        root=dataset_root,
        delta_timestamps={
            "action": [step * period for step in range(4)],
            "observation.images.front": [0.0, period],
            "observation.state": [0.0, period],
        },
    )
    for row in range(reader.n_frames):
        item, window = theirs[row], reader.window(row, action_chunk=4)
        np.testing.assert_array_equal(item["action"].numpy(), window.actions)
        np.testing.assert_array_equal(item["action_is_pad"].numpy(), window.action_is_padding)
        np.testing.assert_array_equal(item["observation.state"][1].numpy(), window.next_state)
        assert bool(item["observation.state_is_pad"][1]) == window.next_is_padding
        picture = (item["observation.images.front"][1].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(picture, window.next_images["front"])


def test_lerobot_loads_a_selection_of_episodes(dataset_root: Path, reader: DatasetReader):
    theirs = lerobot_dataset.LeRobotDataset("local/scripted", root=dataset_root, episodes=[1, 4])
    rows = reader.frames_of([1, 4])
    assert [int(theirs[place]["index"]) for place in range(len(theirs))] == rows.tolist()


@pytest.mark.parametrize("use_videos", [False, True])
def test_we_read_what_lerobot_writes(tmp_path: Path, use_videos: bool):
    """Image mode must agree bit by bit with the source, video mode with lerobot's own decoding."""
    size = (64, 64)
    features = {
        "observation.images.front": {
            "dtype": "video" if use_videos else "image",
            "shape": (*size, 3),
            "names": ["height", "width", "channels"],
        },
        "observation.state": {"dtype": "float32", "shape": (3,), "names": ["x", "y", "z"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "gripper"]},
    }
    root = tmp_path / "theirs"
    theirs = lerobot_dataset.LeRobotDataset.create(
        "local/theirs", fps=10, features=features, root=root, use_videos=use_videos
    )
    pictures = []
    for seed in range(3):
        episode = scripted_episode(seed)
        for frame in range(episode.length):
            image = pictures_of(seed, "wrist")[frame].repeat(8, axis=0).repeat(8, axis=1)
            pictures.append(image)
            theirs.add_frame(
                {
                    "observation.images.front": image,
                    "observation.state": episode.state[frame],
                    "action": episode.action[frame],
                    "task": episode.instruction,
                }
            )
        theirs.save_episode()
    theirs.finalize()
    reader = DatasetReader(root)
    assert not reader.has_labels
    assert reader.schema.cameras == {"front": size}
    assert reader.schema.camera_storage == ("video" if use_videos else "image")
    again = lerobot_dataset.LeRobotDataset("local/theirs", root=root, video_backend="pyav")
    for row in [*range(reader.n_frames), 0, 5, 2]:
        ours = reader.images(row)["front"]
        item = again[row]
        judged = (item["observation.images.front"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(ours, judged)
        np.testing.assert_array_equal(reader.column("action")[row], item["action"].numpy())
        assert reader.instruction(row) == item["task"]
        if not use_videos:
            np.testing.assert_array_equal(ours, pictures[row])


def test_a_truncated_video_names_the_file_and_the_time(tmp_path: Path):
    root = tmp_path / "theirs"
    features = {
        "observation.images.front": {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": (1,), "names": ["dx"]},
    }
    theirs = lerobot_dataset.LeRobotDataset.create("local/theirs", fps=10, features=features, root=root)
    generator = np.random.default_rng(0)
    for _ in range(20):
        image = generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        theirs.add_frame({"observation.images.front": image, "action": np.zeros(1, np.float32), "task": "wait"})
    theirs.save_episode()
    theirs.finalize()
    video = next((root / "videos").rglob("*.mp4"))
    content = video.read_bytes()
    reader = DatasetReader(root)
    last = reader.n_frames - 1
    reader.images(last)
    # The index of an mp4 file stands at its end: without it nothing can be decoded.
    video.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match=r"file-000.mp4"):
        DatasetReader(root).images(last)
    video.unlink()
    with pytest.raises(DatasetError, match=r"file-000.mp4 is missing"):
        DatasetReader(root)
