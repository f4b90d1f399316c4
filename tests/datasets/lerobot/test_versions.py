"""Every version, every codec, pictures in parquet or beside it: what was written comes back, and nothing else."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from qsft_datasets.lerobot import open_source, recognise
from qsft_datasets.source import Source, SourceEpisode, VideoStretch
from vlm_qsft.data.video_stretch import stretch_frames
from vlm_qsft.images import decode, encode_jpeg, encode_png

from ...data.videos import decoded
from .made_sets import SIZE, TASKS, brightness, camera_entry, frames_of, listed, state_of, write_v2, write_v3

FRONT = "observation.images.front"
CODECS = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "av1", "mpeg4": "mpeg4"}


def read_all(source: Source) -> list[SourceEpisode]:
    return [source.read(reference) for reference in source.references()]


def frames(value: object) -> np.ndarray:
    assert isinstance(value, VideoStretch)
    return np.stack(list(stretch_frames(value.path, value.from_s, value.to_s, value.n_frames)))


def assert_usual(episodes: list[SourceEpisode], lengths: tuple[int, ...]) -> None:
    assert [episode.length for episode in episodes] == list(lengths)
    for number, episode in enumerate(episodes):
        state = state_of(number, episode.length)
        np.testing.assert_array_equal(np.asarray(episode.steps["observation.state"]), state)
        np.testing.assert_array_equal(np.asarray(episode.steps["action"]), state * 2)
        assert episode.steps["task"] == [TASKS[number % 2]] * episode.length
        assert episode.gaps == ()


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_numbers_and_instructions_of_version_2_come_back(tmp_path: Path, version: str):
    source = open_source(write_v2(tmp_path, version=version))
    assert source.description.format == f"lerobot-{version}"
    assert source.description.notes == ()
    assert [reference.split for reference in source.references()] == ["train", "train"]
    assert_usual(read_all(source), (6, 4))


@pytest.mark.parametrize("rows_per_group", [None, 4, 100])
def test_numbers_and_instructions_of_version_3_come_back_however_rows_are_grouped(
    tmp_path: Path, rows_per_group: int | None
):
    source = open_source(write_v3(tmp_path, files=((6, 70, 4), (5,)), rows_per_group=rows_per_group))
    assert source.description.notes == ()
    assert_usual(read_all(source), (6, 70, 4, 5))


def test_episodes_can_be_read_in_any_order(tmp_path: Path):
    source = open_source(write_v3(tmp_path, files=((6, 70, 4), (5, 3)), rows_per_group=100))
    references = source.references()
    in_order = read_all(open_source(tmp_path))
    for number in (4, 0, 2, 1, 1, 3, 0):
        actual = source.read(references[number]).steps["action"]
        np.testing.assert_array_equal(np.asarray(actual), np.asarray(in_order[number].steps["action"]))


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_gives_each_step_its_own_frame(tmp_path: Path, codec: str):
    source = open_source(write_v2(tmp_path, lengths=(9, 4), videos={FRONT: codec}))
    assert source.description.feature(FRONT).note.startswith(CODECS[codec])
    for number, episode in enumerate(read_all(source)):
        ours = frames(episode.steps[FRONT])
        path = tmp_path / f"videos/chunk-000/{FRONT}/episode_{number:06d}.mp4"
        np.testing.assert_array_equal(ours, decoded(path))
        for step, picture in enumerate(ours):
            assert abs(float(picture.mean()) - brightness(number, step)) < 4


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_several_episodes_in_one_video_are_told_apart_by_their_offsets(tmp_path: Path, codec: str):
    source = open_source(write_v3(tmp_path, files=((7, 5, 6), (3,)), videos={FRONT: codec}))
    for number, episode in enumerate(read_all(source)):
        value = episode.steps[FRONT]
        assert isinstance(value, VideoStretch)
        assert value.from_s == pytest.approx((0, 0.7, 1.2, 0)[number], abs=1e-9)
        for step, picture in enumerate(frames(value)):
            assert abs(float(picture.mean()) - brightness(number, step)) < 4


@pytest.mark.parametrize("fps", [3.75, 12.5, 29.97])
def test_broken_rates_stay_exact_and_find_every_frame(tmp_path: Path, fps: float):
    for root, write in ((tmp_path / "v2", write_v2), (tmp_path / "v3", write_v3)):
        source = open_source(write(root, fps=fps, videos={FRONT: "libx264"}))
        assert source.description.fps == Fraction(str(fps))
        assert source.description.notes == ()
        for number, episode in enumerate(read_all(source)):
            assert episode.gaps == ()
            for step, picture in enumerate(frames(episode.steps[FRONT])):
                assert abs(float(picture.mean()) - brightness(number, step)) < 4


def test_a_rate_written_as_a_fraction_is_that_fraction(tmp_path: Path):
    assert open_source(write_v2(tmp_path, fps="30000/1001")).description.fps == Fraction(30000, 1001)


@pytest.mark.parametrize("encode", [encode_png, encode_jpeg])
@pytest.mark.parametrize("kind", ["struct", "binary"])
def test_encoded_pictures_in_columns_pass_through_byte_for_byte(tmp_path: Path, encode, kind: str):
    def column(episode: int, length: int) -> pa.Array:
        encoded = [encode(picture) for picture in frames_of(episode, length)]
        if kind == "binary":
            return pa.array(encoded, pa.binary())
        return pa.array(
            [{"bytes": content, "path": f"frame-{step:06d}.png"} for step, content in enumerate(encoded)],
            pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        )

    source = open_source(write_v2(tmp_path, declared={FRONT: camera_entry("image")}, columns={FRONT: column}))
    feature = source.description.feature(FRONT)
    assert (feature.kind, feature.dtype, feature.shape) == ("image", "uint8", (SIZE, SIZE, 3))
    for number, episode in enumerate(read_all(source)):
        assert listed(episode.steps[FRONT]) == [encode(picture) for picture in frames_of(number, episode.length)]


@pytest.mark.parametrize("kind", ["struct", "text"])
def test_pictures_named_by_path_are_read_from_their_files(tmp_path: Path, kind: str):
    def column(episode: int, length: int) -> pa.Array:
        names = [f"images/{FRONT}/episode_{episode:06d}/frame_{step:06d}.png" for step in range(length)]
        for name, picture in zip(names, frames_of(episode, length), strict=True):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_png(picture))
        if kind == "text":
            return pa.array(names)
        entries = [{"bytes": None, "path": name} for name in names]
        return pa.array(entries, pa.struct({"bytes": pa.binary(), "path": pa.string()}))

    source = open_source(write_v2(tmp_path, declared={FRONT: camera_entry("image")}, columns={FRONT: column}))
    for number, episode in enumerate(read_all(source)):
        pictures = [decode(content) for content in listed(episode.steps[FRONT])]
        np.testing.assert_array_equal(np.stack(pictures), np.stack(frames_of(number, episode.length)))


def test_raw_pictures_in_columns_are_pictures(tmp_path: Path):
    def column(episode: int, length: int) -> pa.Array:
        pictures = [picture[:4, :5] for picture in frames_of(episode, length)]
        return pa.array([picture.tolist() for picture in pictures], pa.list_(pa.list_(pa.list_(pa.uint8(), 3))))

    entry = {"dtype": "image", "shape": [4, 5, 3], "names": ["height", "width", "channels"]}
    source = open_source(write_v2(tmp_path, declared={FRONT: entry}, columns={FRONT: column}))
    assert source.description.feature(FRONT).kind == "image"
    episode = source.read(source.references()[1])
    values = np.asarray(episode.steps[FRONT])
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, np.stack(frames_of(1, 4))[:, :4, :5])


def test_a_folder_is_recognised_by_its_info_file_and_foreign_ones_are_not(tmp_path: Path):
    assert recognise(write_v2(tmp_path / "set"))
    (tmp_path / "other/meta").mkdir(parents=True)
    assert not recognise(tmp_path / "other")
    (tmp_path / "other/meta/info.json").write_bytes(b"\xff\x00 no json")
    assert not recognise(tmp_path / "other")
    assert not recognise(tmp_path / "absent")
    assert not recognise(tmp_path / "set/meta/info.json")
    (tmp_path / "folder/meta/info.json").mkdir(parents=True)
    assert not recognise(tmp_path / "folder")
