"""Camera messages to pictures and back, without a byte copied in Python."""

from __future__ import annotations

import array
import zlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from vlm_qsft import images


class CameraPicture(Protocol):
    """A picture that came from a camera; conversion to RGB waits until a policy looks at it."""

    @property
    def brightness(self) -> np.ndarray:
        """Bytes of which the contrast is judged, uint8."""
        ...

    @property
    def fingerprint(self) -> int:
        """Differs when the picture differs."""
        ...

    def rgb(self) -> np.ndarray:
        """Return the picture as RGB uint8 (height, width, 3)."""
        ...


@dataclass(frozen=True)
class RawPicture:
    """A sensor_msgs/Image.

    Attributes:
        pixels: view of the message's bytes.
        encoding: as in sensor_msgs/image_encodings.
    """

    pixels: np.ndarray
    encoding: str

    @property
    def brightness(self) -> np.ndarray:
        """The upper bytes of the pixels, every fourth row: enough to tell a blank picture."""
        rows = self.pixels[::4]
        return rows if rows.dtype == np.uint8 else (rows >> 8).astype(np.uint8)

    @property
    def fingerprint(self) -> int:
        """Checksum of all bytes."""
        return zlib.crc32(np.ascontiguousarray(self.pixels))

    def rgb(self) -> np.ndarray:
        """Return the picture as RGB."""
        return images.rgb_from_pixels(self.pixels, self.encoding)


@dataclass(frozen=True)
class CompressedPicture:
    """A sensor_msgs/CompressedImage.

    Attributes:
        encoded: JPEG or PNG bytes.
        brightness: the picture at an eighth of its size.
    """

    encoded: bytes
    brightness: np.ndarray

    @property
    def fingerprint(self) -> int:
        """Checksum of the encoded bytes: a sensor's noise changes them."""
        return zlib.crc32(self.encoded)

    def rgb(self) -> np.ndarray:
        """Return the picture as RGB. Raises DatasetError: the bytes are damaged."""
        return images.decode(self.encoded)


def picture_from(message: Image | CompressedImage) -> CameraPicture:
    """Return the picture of a message.

    Raises:
        UnknownName: an encoding that has no conversion to RGB.
        ShapeMismatch: more or fewer bytes than the message declares.
        DatasetError: compressed bytes that are no whole picture.
    """
    if isinstance(message, CompressedImage):
        encoded = memoryview(message.data).tobytes()
        return CompressedPicture(encoded, images.decode_reduced(encoded))
    pixels = images.camera_pixels(
        memoryview(message.data),
        encoding=message.encoding,
        height=message.height,
        width=message.width,
        step=message.step,
        big_endian=bool(message.is_bigendian),
    )
    return RawPicture(pixels, message.encoding)


def fill_image(message: Image, picture: np.ndarray) -> None:
    """Put an RGB picture into a message.

    Assigning a NumPy array to `data` converts it number by number, 140 ms for 640 x 480; an array.array is taken whole.

    Args:
        message: its header is left alone.
        picture: uint8 (height, width, 3).
    """
    message.height, message.width = picture.shape[:2]
    message.encoding, message.is_bigendian, message.step = "rgb8", 0, 3 * picture.shape[1]
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(picture).data.cast("B"))
    message.data = data
