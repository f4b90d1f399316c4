"""Both ways to decode a picture, by name: a policy should see the pixels that it was trained on.

"opencv" is `vlm_qsft.images.decode`. "tensorflow" gives what `tf.image.decode_image(content, channels=3)` gives, bit
for bit: of a JPEG, libjpeg's fast inverse DCT with smooth upsampling of the colours, up to 18 of 255 away from OpenCV.
PNG is lossless and the same for both. TensorFlow itself is not needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from qsft_datasets.mapping import JpegDecoder
from vlm_qsft.errors import DatasetError, MissingDependency, UnknownName
from vlm_qsft.images import decode

JPEG_BEGIN = b"\xff\xd8\xff"
MAX_PIXELS = 2**26
"""More than any camera of a robot has; a damaged header may announce 65,500 x 65,500."""

Decoder = Callable[[bytes], UInt8[np.ndarray, "height width 3"]]


def decode_like_tensorflow(encoded: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """Return the RGB picture that TensorFlow's decoder gives; grey becomes RGB, transparency is dropped.

    Raises:
        DatasetError: the bytes are no whole picture.
        MissingDependency: simplejpeg is not installed.
    """
    if not encoded.startswith(JPEG_BEGIN):
        return decode(encoded)
    try:
        import simplejpeg
    except ImportError as error:
        raise MissingDependency("Decoder 'tensorflow' needs simplejpeg: pip install 'vlm-qsft[rlds]'.") from error
    try:
        height, width = (int(side) for side in simplejpeg.decode_jpeg_header(encoded)[:2])
        if height * width > MAX_PIXELS:
            raise DatasetError(f"A JPEG picture says that it has {height} x {width} pixels.")
        return simplejpeg.decode_jpeg(encoded, colorspace="RGB", fastdct=True, fastupsample=False)
    except ValueError as error:
        raise DatasetError(f"{len(encoded)} bytes are no readable JPEG picture: {error}.") from error


DECODERS: dict[JpegDecoder, Decoder] = {"opencv": decode, "tensorflow": decode_like_tensorflow}


def picture_decoder(name: str) -> Decoder:
    """Return a decoder by its name.

    Raises:
        UnknownName: no such decoder.
    """
    for known, decoder in DECODERS.items():
        if known == name:
            return decoder
    raise UnknownName("decoder", name, DECODERS)
