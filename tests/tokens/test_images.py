"""Pictures: lossless PNG, sizes, and bytes that are no picture."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.errors import DatasetError, ShapeMismatch
from vlm_qsft.images import decode, encode_jpeg, encode_png, resize


def random_picture(height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_png_returns_every_pixel_and_keeps_red_red():
    picture = random_picture()
    picture[0, 0] = (255, 0, 0)
    np.testing.assert_array_equal(decode(encode_png(picture)), picture)


def test_jpeg_returns_about_the_same_picture():
    smooth = np.zeros((32, 32, 3), np.uint8)
    smooth[..., 0] = np.linspace(0, 255, 32).astype(np.uint8)
    difference = decode(encode_jpeg(smooth)).astype(int) - smooth
    assert np.abs(difference).mean() < 3.0


@pytest.mark.parametrize("content", [b"", b"no picture", encode_png(random_picture())[:40]])
def test_decode_refuses_bytes_that_are_no_picture(content: bytes):
    with pytest.raises(DatasetError, match=r"no readable PNG or JPEG"):
        decode(content)


def test_shrinking_by_two_averages_four_pixels():
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, :2] = [[[10, 0, 0], [20, 0, 0]], [[30, 0, 0], [40, 0, 0]]]
    np.testing.assert_array_equal(resize(picture, (1, 2)), [[[25, 0, 0], [0, 0, 0]]])


def test_resize_to_the_same_size_copies_nothing():
    picture = random_picture()
    assert resize(picture, (24, 32)) is picture


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_rgb_picture_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ShapeMismatch, match=r"uint8 \(height, width, 3\)"):
        encode_png(np.zeros(shape, np.uint8))
    with pytest.raises(ShapeMismatch, match=r"float32"):
        resize(np.zeros((4, 4, 3), np.float32), (2, 2))


@pytest.mark.parametrize("encode", [encode_png, encode_jpeg])
def test_every_truncated_picture_is_refused_without_a_word_on_stderr(encode, capfd: pytest.CaptureFixture[str]):
    encoded = encode(random_picture())
    for length in range(0, len(encoded), 5):
        with pytest.raises(DatasetError, match=r"no readable PNG or JPEG"):
            decode(encoded[:length])
    assert capfd.readouterr() == ("", "")


def test_a_flipped_bit_never_gives_another_png(capfd: pytest.CaptureFixture[str]):
    picture = random_picture(8, 8)
    encoded = encode_png(picture)
    for place in range(len(encoded)):
        altered = bytearray(encoded)
        altered[place] ^= 1
        with pytest.raises(DatasetError, match=r"no readable PNG or JPEG"):
            decode(bytes(altered))
    assert capfd.readouterr() == ("", "")
