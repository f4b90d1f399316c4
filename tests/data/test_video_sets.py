"""Video sets: whole files are copied once, LeRobot decodes the same pixels, and clips that do not fit are refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vlm_qsft.data import DatasetReader, DatasetSchema, DatasetWriter, Episode
from vlm_qsft.data.episode import VideoClip
from vlm_qsft.errors import DatasetError, ShapeMismatch

from .scripted import LABELS, scripted_episode
from .videos import decoded

pytestmark = pytest.mark.usefixtures("without_warnings_of_lerobot")

FPS = 10
SIZE = (32, 48)
SCHEMA = DatasetSchema(
    cameras={"front": SIZE},
    state_names=("x", "y", "z"),
    action_names=("dx", "gripper"),
    fps=Fraction(FPS),
    camera_storage="video",
)


def write_video(path: Path, n_frames: int, *, fps: int = FPS, seed: int = 0) -> None:
    """An mp4 whose frames differ from each other."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"g": "4", "bf": "2"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in range(n_frames):
            picture = np.full((*SIZE, 3), 10, np.uint8)
            picture[:, : 2 * frame + 2] = (40 + 5 * frame, 20 * seed, 200 - 3 * frame)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def episode_in(path: Path, seed: int, from_s: float) -> Episode:
    return replace(scripted_episode(seed), images={"front": VideoClip(path, from_s)})


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two files: the first holds episodes 0 (3 frames) and 1 (4 frames), the second holds episode 2 (5 frames)."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_video(folder / "a.mp4", 7)
    write_video(folder / "b.mp4", 5, seed=1)
    return folder


@pytest.fixture
def root(tmp_path: Path, videos: Path) -> Path:
    folder = tmp_path / "set"
    with DatasetWriter(folder, SCHEMA, labels=LABELS) as writer:
        writer.add_episode(episode_in(videos / "a.mp4", 0, 0.0))
        writer.add_episode(episode_in(videos / "a.mp4", 1, 0.3))
        writer.add_episode(episode_in(videos / "b.mp4", 2, 0.0))
        writer.finalize()
    return folder


def test_files_are_copied_byte_by_byte_and_once(root: Path, videos: Path) -> None:
    copies = sorted((root / "videos").rglob("*.mp4"))
    assert [path.name for path in copies] == ["file-000.mp4", "file-001.mp4"]
    assert [path.read_bytes() for path in copies] == [(videos / name).read_bytes() for name in ("a.mp4", "b.mp4")]
    assert not (root / "staging").exists()


def test_our_reader_and_lerobot_decode_the_frames_of_the_source(root: Path, videos: Path) -> None:
    expected = [*decoded(videos / "a.mp4"), *decoded(videos / "b.mp4")]
    reader = DatasetReader(root)
    assert reader.schema == SCHEMA
    for row, picture in enumerate(expected):
        np.testing.assert_array_equal(reader.images(row)["front"], picture)
    lerobot_dataset = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    judged = lerobot_dataset.LeRobotDataset("local/video", root=root, video_backend="pyav")
    assert judged.meta.video_keys == ["observation.images.front"]
    assert judged.meta.features["observation.images.front"]["info"]["video.codec"] == "h264"
    for row, picture in enumerate(expected):
        theirs = (judged[row]["observation.images.front"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(theirs, picture)


def test_a_clip_that_ends_too_early_names_file_and_frame(tmp_path: Path, videos: Path) -> None:
    with (
        DatasetWriter(tmp_path / "set", SCHEMA, labels=LABELS) as writer,
        pytest.raises(DatasetError, match=r"a\.mp4 has no frame at 0\.7000 s, where frame 3 of 4 is expected"),
    ):
        writer.add_episode(episode_in(videos / "a.mp4", 1, 0.4))


def test_a_video_of_another_rate_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "fast.mp4", 20, fps=15)
    with (
        DatasetWriter(tmp_path / "set", SCHEMA, labels=LABELS) as writer,
        pytest.raises(DatasetError, match="truncated, or of another rate"),
    ):
        writer.add_episode(episode_in(tmp_path / "fast.mp4", 0, 0.0))


def test_pictures_of_another_size_and_a_missing_file_are_refused(tmp_path: Path, videos: Path) -> None:
    with (
        DatasetWriter(tmp_path / "set", replace(SCHEMA, cameras={"front": (32, 32)}), labels=LABELS) as writer,
        pytest.raises(ShapeMismatch, match=r"shows 32 x 48 pixels; declared: 32 x 32"),
    ):
        writer.add_episode(episode_in(videos / "a.mp4", 0, 0.0))
    with DatasetWriter(tmp_path / "other", SCHEMA, labels=LABELS) as writer:
        with pytest.raises(DatasetError, match=r"c\.mp4 is no readable video"):
            writer.add_episode(episode_in(videos / "c.mp4", 0, 0.0))
        with pytest.raises(ShapeMismatch, match="given as pictures; the data set stores cameras as video"):
            writer.add_episode(replace(scripted_episode(0), images={"front": np.zeros((3, *SIZE, 3), np.uint8)}))
