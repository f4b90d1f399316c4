"""Headers of pictures that OpenCV wrote, and of some that nobody would write."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from vlm_qsft.picture_header import picture_header


def encoded(extension: str, picture: np.ndarray) -> bytes:
    return cv2.imencode(extension, picture)[1].tobytes()


@pytest.mark.parametrize("extension", [".png", ".jpg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_header_says_what_was_written(extension: str, channels: int) -> None:
    header = picture_header(encoded(extension, np.zeros((7, 13, channels), np.uint8)))
    assert header is not None
    assert (header.kind, header.shape, header.bits) == (extension[1:].replace("jpg", "jpeg"), (7, 13, channels), 8)
    assert header.is_plain == (channels == 3)


def test_sixteen_bits_are_not_plain() -> None:
    header = picture_header(encoded(".png", np.zeros((4, 5, 3), np.uint16)))
    assert header is not None
    assert (header.bits, header.is_plain) == (16, False)


def test_a_palette_has_colours_and_is_not_plain() -> None:
    header = picture_header(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 5, 4, 8, 3, 0, 0, 0))
    assert header is not None
    assert (header.shape, header.is_plain) == ((4, 5, 3), False)


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_every_cut_before_the_end_of_the_header_gives_none(extension: str) -> None:
    content = encoded(extension, np.zeros((7, 13, 3), np.uint8))
    found = [picture_header(content[:length]) is not None for length in range(len(content) + 1)]
    first = found.index(True)
    assert 20 < first < len(content)
    assert all(found[first:]) and not any(found[:first])


def test_other_bytes_have_no_header() -> None:
    assert picture_header(b"GIF89a" + bytes(40)) is None
    assert picture_header(b"") is None
