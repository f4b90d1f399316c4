"""A stretch of video is exactly its frames, or an error that names file and frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vlm_qsft.data.video_pictures import VideoPictures
from vlm_qsft.data.video_stretch import keeps_rate, presentation_times, stretch_frames, stretch_times, video_facts
from vlm_qsft.errors import DatasetError

from .videos import decoded

CODECS = ["libx264", "libx265", "libsvtav1"]


def write_noise(path: Path, n_frames: int, *, codec: str = "libx264", is_streamable: bool = True) -> None:
    """Write frames that compress badly: the index is small against them, so a cut falls into the pictures."""
    generator = np.random.default_rng(0)
    options = {"movflags": "+faststart"} if is_streamable else {}
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=10, options={"g": "5"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(n_frames):
            image = generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.mark.parametrize("codec", CODECS)
def test_any_stretch_equals_that_part_of_the_whole_video(tmp_path: Path, codec: str):
    path = tmp_path / "video.mp4"
    write_noise(path, 23, codec=codec)
    whole = decoded(path)
    for first, last in [(0, 23), (0, 1), (22, 23), (3, 9), (5, 10), (11, 20)]:
        ours = list(stretch_frames(path, first / 10, last / 10, last - first))
        np.testing.assert_array_equal(np.stack(ours), whole[first:last])


@pytest.mark.parametrize("codec", CODECS)
def test_times_are_read_without_decoding_and_equal_those_of_the_frames(tmp_path: Path, codec: str):
    path = tmp_path / "video.mp4"
    write_noise(path, 12, codec=codec)
    with av.open(str(path)) as container:
        expected = [frame.time for frame in container.decode(video=0)]
    assert list(presentation_times(path)) == expected
    assert list(presentation_times(path, 0.35, 0.75)) == expected[4:8]


def test_a_stretch_with_another_number_of_frames_than_steps_is_refused(tmp_path: Path):
    path = tmp_path / "video.mp4"
    write_noise(path, 12)
    with pytest.raises(DatasetError, match=r"video.mp4 has 12 of 14 frames .* frame 12 is missing"):
        stretch_times(path, 0.0, 1.4, 14)
    with pytest.raises(DatasetError, match=r"video.mp4 has 12 frames between .* the episode has 6 steps"):
        stretch_times(path, 0.0, 1.3, 6)
    with pytest.raises(DatasetError, match=r"frame 0 is missing"):
        stretch_times(path, 5.0, 6.0, 10)
    with pytest.raises(DatasetError, match=r"with 0 frames is none"):
        stretch_times(path, 0.0, 1.2, 0)


@pytest.mark.parametrize("codec", CODECS)
def test_single_frames_are_found_where_frames_refer_to_later_ones(tmp_path: Path, codec: str):
    """FFmpeg seeks by decoding times and finds the key frame after the wanted one."""
    path = tmp_path / "video.mp4"
    write_noise(path, 23, codec=codec)
    whole = decoded(path)
    for number in (22, 3, 8, 4, 14, 13, 0):
        picture = VideoPictures(Fraction(10)).frames(path, [number / 10])[0]
        np.testing.assert_array_equal(picture, whole[number])


@pytest.mark.parametrize("codec", CODECS)
def test_a_video_truncated_in_the_middle_names_the_file_and_the_frame(tmp_path: Path, codec: str):
    path = tmp_path / "video.mp4"
    write_noise(path, 40, codec=codec)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    with pytest.raises(DatasetError, match=r"video.mp4 has (\d+) of 40 frames .* frame \d+ is missing.*truncated"):
        list(stretch_frames(path, 0.0, 4.0, 40))


def test_a_video_whose_index_is_cut_off_is_named(tmp_path: Path):
    path = tmp_path / "video.mp4"
    write_noise(path, 40, is_streamable=False)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    for ask in (lambda: presentation_times(path), lambda: video_facts(path)):
        with pytest.raises(DatasetError, match=r"video.mp4 is no readable video"):
            ask()
    with pytest.raises(DatasetError, match=r"absent.mp4 is no readable video"):
        video_facts(tmp_path / "absent.mp4")


def test_a_frame_that_cannot_be_decoded_is_named(tmp_path: Path):
    path = tmp_path / "video.mp4"
    write_noise(path, 20, codec="libsvtav1")
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.pts is not None][12]
        assert packet.pos is not None
        content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(bytes(content))
    with pytest.raises(DatasetError, match=r"Frame \d+ of 20 cannot be decoded: .*video.mp4"):
        list(stretch_frames(path, 0.0, 2.0, 20))


def test_a_depth_map_is_no_picture(tmp_path: Path):
    path = tmp_path / "depth.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "gray16le"
        for value in range(3):
            image = np.full((16, 16), 1000 * value, np.uint16)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="gray16le")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    assert video_facts(path).is_depth
    with pytest.raises(DatasetError, match=r"depth.mkv holds gray16le: a depth map"):
        list(stretch_frames(path, 0.0, 0.3, 3))


def test_a_rate_is_kept_where_every_frame_is_near_its_time():
    ten = Fraction(10)
    assert keeps_rate([0.5, 0.6, 0.7], ten)
    assert keeps_rate([0.5, 0.6, 0.72], ten)
    assert not keeps_rate([0.5, 0.6, 0.73], ten)
    assert not keeps_rate([step / 12.5 for step in range(10)], ten)
    assert keeps_rate([step * 1001 / 30000 for step in range(1000)], Fraction(30000, 1001))
