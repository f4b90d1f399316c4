"""Bytes of cameras to RGB: every encoding shows the same red and blue picture."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.errors import DatasetError, ShapeMismatch, UnknownName
from vlm_qsft.images import camera_pixels, decode_reduced, encode_jpeg, rgb_from_pixels

RED, BLUE = (200, 10, 20), (20, 30, 220)


def scene() -> np.ndarray:
    """Return 8 x 12 pixels, the left half red, the right half blue."""
    picture = np.empty((8, 12, 3), np.uint8)
    picture[:, :6], picture[:, 6:] = RED, BLUE
    return picture


def read(data: np.ndarray, encoding: str, *, padding: int = 0, big_endian: bool = False) -> np.ndarray:
    rows = np.ascontiguousarray(data).view(np.uint8).reshape(8, -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    pixels = camera_pixels(
        padded.tobytes(), encoding=encoding, height=8, width=12, step=padded.shape[1], big_endian=big_endian
    )
    return rgb_from_pixels(pixels, encoding)


def with_alpha(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture, np.full((8, 12, 1), 255, np.uint8)], axis=2)


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("rgb8", scene()),
        ("bgr8", scene()[..., ::-1]),
        ("8UC3", scene()[..., ::-1]),
        ("rgba8", with_alpha(scene())),
        ("bgra8", with_alpha(scene()[..., ::-1])),
    ],
)
def test_the_order_of_channels_is_that_of_the_encoding(encoding: str, data: np.ndarray, padding: int) -> None:
    np.testing.assert_array_equal(read(data, encoding, padding=padding), scene())


def test_grey_becomes_three_equal_channels() -> None:
    grey = np.arange(96, dtype=np.uint8).reshape(8, 12)
    np.testing.assert_array_equal(read(grey, "mono8"), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(("big_endian", "kind"), [(False, "<u2"), (True, ">u2")])
def test_of_sixteen_bits_the_upper_eight_are_kept(big_endian: bool, kind: str) -> None:
    wide = (scene().astype(np.uint16) << 8) + 77
    np.testing.assert_array_equal(read(wide.astype(kind), "rgb16", big_endian=big_endian), scene())
    np.testing.assert_array_equal(read(wide[..., ::-1].astype(kind), "bgr16", big_endian=big_endian), scene())


@pytest.mark.parametrize(
    ("encoding", "tile"),
    [
        ("bayer_rggb8", [[0, 1], [1, 2]]),
        ("bayer_bggr8", [[2, 1], [1, 0]]),
        ("bayer_grbg8", [[1, 0], [2, 1]]),
        ("bayer_gbrg8", [[1, 2], [0, 1]]),
    ],
)
def test_bayer_patterns_show_the_colours_of_the_scene(encoding: str, tile: list[list[int]]) -> None:
    channel = np.tile(np.array(tile), (4, 6))
    mosaic = np.take_along_axis(scene(), channel[..., None], axis=2)[..., 0]
    decoded = read(mosaic, encoding)
    np.testing.assert_allclose(decoded[4, 2], RED, atol=2)
    np.testing.assert_allclose(decoded[4, 9], BLUE, atol=2)


@pytest.mark.parametrize(
    ("encoding", "order"), [("uyvy", "uyvy"), ("yuv422", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv")]
)
def test_shared_chroma_is_read_in_its_order(encoding: str, order: str) -> None:
    # BT.601 with head and foot room, as cameras send it.
    red, green, blue = (scene()[..., channel].astype(np.float64) for channel in range(3))
    luma = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    packed = np.empty((8, 6, 4))
    at = {letter: [index for index, found in enumerate(order) if found == letter] for letter in "yuv"}
    packed[..., at["y"][0]], packed[..., at["y"][1]] = luma[:, ::2], luma[:, 1::2]
    packed[..., at["u"][0]], packed[..., at["v"][0]] = u[:, ::2], v[:, ::2]
    np.testing.assert_allclose(read(packed.round().astype(np.uint8), encoding), scene(), atol=4)


def test_pixels_are_a_view_of_the_messages_bytes() -> None:
    data = scene().tobytes()
    pixels = camera_pixels(data, encoding="rgb8", height=8, width=12, step=36, big_endian=False)
    assert np.shares_memory(pixels, np.frombuffer(data, np.uint8))


def test_what_cannot_be_a_picture_is_refused() -> None:
    with pytest.raises(UnknownName, match="Image encoding '32FC1'"):
        camera_pixels(b"", encoding="32FC1", height=1, width=1, step=4, big_endian=False)
    for step, size in ((35, 280), (36, 287), (36, 289)):
        with pytest.raises(ShapeMismatch, match=f"got {size}"):
            camera_pixels(bytes(size), encoding="rgb8", height=8, width=12, step=step, big_endian=False)
    with pytest.raises(ShapeMismatch):
        camera_pixels(b"", encoding="rgb8", height=0, width=12, step=36, big_endian=False)


def test_a_reduced_picture_has_an_eighth_of_the_size_and_the_same_brightness() -> None:
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, 64:] = 200
    reduced = decode_reduced(encode_jpeg(picture))
    assert reduced.shape == (8, 16)
    np.testing.assert_allclose(reduced[:, [0, -1]], [[0, 200]] * 8, atol=3)
    with pytest.raises(DatasetError):
        decode_reduced(b"no picture")
    with pytest.raises(DatasetError):
        decode_reduced(b"")
