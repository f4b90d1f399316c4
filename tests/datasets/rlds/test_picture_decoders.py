"""Both decoders by name: TensorFlow's pixels without TensorFlow."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.rlds import open_source
from qsft_datasets.rlds.picture_decoders import DECODERS, decode_like_tensorflow, picture_decoder
from vlm_qsft.errors import DatasetError, UnknownName
from vlm_qsft.images import decode, encode_jpeg, encode_png

from ...data.scripted import picture

SAMPLES = Path(__file__).resolve().parents[4] / "shared/data/rlds"


def test_png_is_the_same_for_both() -> None:
    image = picture(3, 4, (16, 24))
    for decoder in DECODERS.values():
        assert np.array_equal(decoder(encode_png(image)), image)


def test_jpeg_differs_by_a_little_and_each_is_the_named_one() -> None:
    encoded = encode_jpeg(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8), quality=80)
    opencv, tensorflow = picture_decoder("opencv")(encoded), picture_decoder("tensorflow")(encoded)
    assert opencv.shape == tensorflow.shape == (32, 48, 3)
    assert np.array_equal(opencv, decode(encoded))
    assert 0 < np.abs(opencv.astype(int) - tensorflow).max() < 30


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository.")
def test_pixels_of_bridge_are_those_that_tensorflow_gave() -> None:
    """The hash is of the pixels that tf.image.decode_image of TensorFlow 2.21 gave for the first picture."""
    source = open_source(SAMPLES / "bridge_dataset")
    encoded = source.read(source.references()[0]).steps["observation/image_0"][0]  # type: ignore[index]
    assert hashlib.sha256(decode_like_tensorflow(encoded).tobytes()).hexdigest() == TENSORFLOW_PIXELS  # type: ignore[arg-type]


TENSORFLOW_PIXELS = "9de87b33d9ac5165990d8731e1eef856b3ceb628a4054cc1360f1a5d1ba4cdb6"


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"no picture"])
def test_what_is_no_picture_is_refused(decoder, content: bytes) -> None:
    with pytest.raises(DatasetError, match="readable"):
        decoder(content)


def test_a_truncated_jpeg_is_refused_as_tensorflow_does() -> None:
    """OpenCV fills what is missing with grey and says nothing."""
    with pytest.raises(DatasetError, match="no readable JPEG"):
        decode_like_tensorflow(encode_jpeg(picture(1, 1, (64, 64)))[:-20])


def test_a_jpeg_whose_header_claims_a_gigapixel_is_refused_before_it_is_decoded() -> None:
    encoded = bytearray(encode_jpeg(picture(1, 1, (16, 16))))
    frame = encoded.index(b"\xff\xc0")
    encoded[frame + 5 : frame + 9] = b"\xfd\xe8\xfd\xe8"
    with pytest.raises(DatasetError, match="65000 x 65000 pixels"):
        decode_like_tensorflow(bytes(encoded))


def test_an_unknown_decoder_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="Valid: opencv, tensorflow"):
        picture_decoder("pillow")
