"""Cameras of real sets: other sizes, codecs and rates than declared, depth, and files cut off in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from qsft_datasets.lerobot import open_source
from vlm_qsft.errors import DatasetError

from .made_sets import (
    SIZE,
    camera_entry,
    frames_of,
    write_v2,
    write_v3,
    write_video,
)
from .reading import first_episode

FRONT = "observation.images.front"


def entry(dtype: str, shape: list[int], names: object = None) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "names": names}


def test_a_missing_video_is_named_when_it_is_asked_for(tmp_path: Path):
    source = open_source(write_v2(tmp_path, videos={FRONT: "libx264"}))
    (tmp_path / f"videos/chunk-000/{FRONT}/episode_000001.mp4").unlink()
    episode = source.read(source.references()[1])
    assert np.asarray(episode.steps["action"]).shape == (4, 3)
    with pytest.raises(DatasetError, match=r"episode_000001\.mp4 is missing: the metadata names it"):
        episode.steps[FRONT]


def test_another_codec_size_and_rate_than_declared_are_reported(tmp_path: Path):
    declared = {**camera_entry("video", **{"video.codec": "av1"}), "shape": [480, 640, 3]}
    root = write_v2(tmp_path, videos={FRONT: "libx264"}, declared={FRONT: declared}, info={"fps": 5})
    description = open_source(root).description
    assert description.notes == (
        f"meta/info.json says '{FRONT}' is av1; its files are h264.",
        f"meta/info.json declares '{FRONT}' as [480, 640, 3]; its files are [{SIZE}, {SIZE}].",
        f"meta/info.json says 5 steps per second; the files of '{FRONT}' say 10.",
    )
    assert description.feature(FRONT).shape == (SIZE, SIZE, 3)


def test_pictures_of_two_sizes_in_one_camera_are_refused(tmp_path: Path):
    root = write_v2(tmp_path, videos={FRONT: "libx264"})
    path = root / f"videos/chunk-000/{FRONT}/episode_000001.mp4"
    write_video(path, [picture[:32] for picture in frames_of(1, 4)])
    source = open_source(root)
    steps = source.read(source.references()[1]).steps
    with pytest.raises(DatasetError, match=r"episode_000001.mp4 shows 32 x 64 pixels; the first file 64 x 64"):
        steps[FRONT]


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_video_truncated_in_the_middle_names_file_and_frame_and_spares_the_other_columns(
    tmp_path: Path, version: str
):
    videos = {FRONT: "libx264"}
    root = (
        write_v2(tmp_path, lengths=(30,), videos=videos)
        if version == "v2"
        else write_v3(tmp_path, files=((10, 20),), videos=videos)
    )
    path = next(root.rglob("*.mp4"))
    generator = np.random.default_rng(0)
    noise = [generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(30)]
    write_video(path, noise, is_streamable=True)
    source = open_source(root)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    episode = source.read(source.references()[-1])
    assert np.asarray(episode.steps["action"]).shape == (episode.length, 3)
    with pytest.raises(DatasetError, match=rf"{path.name} has \d+ .*frame (\d+) is missing"):
        episode.steps[FRONT]


def test_a_depth_camera_is_marked_and_has_one_channel(tmp_path: Path):
    root = write_v2(
        tmp_path,
        videos={FRONT: "libx264", "observation.images.depth": "libx264"},
        declared={"observation.images.depth": camera_entry("video", **{"video.is_depth_map": True})},
    )
    feature = open_source(root).description.feature("observation.images.depth")
    assert (feature.shape, feature.note) == ((SIZE, SIZE, 1), "depth map, no colour picture")


def test_pictures_outside_of_the_data_set_are_not_read(tmp_path: Path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    columns: Any = {FRONT: lambda episode, length: pa.array(["../secret.png"] * length)}
    steps = first_episode(write_v2(tmp_path / "set", columns=columns, declared={FRONT: camera_entry("image")})).steps
    with pytest.raises(DatasetError, match=r"Pictures must lie inside of the data set"):
        steps[FRONT]
