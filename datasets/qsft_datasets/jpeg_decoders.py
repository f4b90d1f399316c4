"""JPEG decoders by name. They differ by up to 18 of 255: a policy should see the pixels that it was trained on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from qsft_datasets.mapping import JpegDecoder
from vlm_qsft.errors import DatasetError, MissingDependency
from vlm_qsft.images import decode

Decode = Callable[[bytes], UInt8[np.ndarray, "height width 3"]]


def decode_as_tensorflow(encoded: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """Return the RGB picture of JPEG bytes, bit-equal to `tf.io.decode_jpeg` with its defaults.

    TensorFlow takes the fast integer DCT, and the smooth upsampling of colours.

    Raises:
        MissingDependency: simplejpeg is not installed.
        DatasetError: no whole picture.
    """
    try:
        import simplejpeg
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "Decoding as TensorFlow does needs simplejpeg: pip install 'vlm-qsft[rlds]'."
        ) from error
    try:
        return simplejpeg.decode_jpeg(encoded, colorspace="RGB", fastdct=True, fastupsample=False)
    except ValueError as error:
        raise DatasetError(f"{len(encoded)} bytes are no whole JPEG picture ({error}).") from error


DECODERS: dict[JpegDecoder, Decode] = {"opencv": decode, "tensorflow": decode_as_tensorflow}
