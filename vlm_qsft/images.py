"""Pictures: encoded bytes <-> RGB uint8 arrays, and one deterministic way of resizing. The only module with cv2."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from jaxtyping import UInt8

from vlm_qsft.errors import DatasetError, ShapeMismatch

# Parallelism of this library is by processes; OpenCV's own threads only fight with them over the same cores.
cv2.setNumThreads(1)

# Nor may it write to stderr beside our own message.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_PNG_BEGIN, _JPEG_BEGIN, _JPEG_SCAN, _JPEG_END = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"

PNG_COMPRESSION = 1
"""zlib level: lossless at any level; 1 writes a rendered 64 x 64 picture in about 0.2 ms."""


def decode(encoded: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """Return the RGB picture of PNG or JPEG bytes; grey becomes RGB, transparency is dropped.

    Raises:
        DatasetError: the bytes are no whole picture.
    """
    picture = None
    if _is_whole(encoded):
        picture = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise DatasetError(f"{len(encoded)} bytes starting with {encoded[:4]!r} are no readable PNG or JPEG picture.")
    return picture


def encode_png(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """Return the picture as PNG, lossless.

    Raises:
        ShapeMismatch: not uint8 (height, width, 3).
    """
    return _encode(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])


def encode_jpeg(image: UInt8[np.ndarray, "height width 3"], *, quality: int = 95) -> bytes:
    """Return the picture as JPEG.

    Args:
        quality: 1 to 100; 95 is about 38 dB on rendered scenes.
    Raises:
        ShapeMismatch: not uint8 (height, width, 3).
    """
    return _encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def resize(
    image: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """Return the picture at `size` (height, width); the same array where it already has it.

    Shrinking averages the covered pixels (no aliasing), growing interpolates linearly. The aspect ratio is not kept.

    Raises:
        ShapeMismatch: not uint8 (height, width, 3).
    """
    _check(image)
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    is_shrinking = height <= image.shape[0] and width <= image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if is_shrinking else cv2.INTER_LINEAR)


def _encode(image: np.ndarray, suffix: str, settings: list[int]) -> bytes:
    _check(image)
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    return encoded.tobytes()


def _is_whole(encoded: bytes) -> bool:
    """Tell whether PNG or JPEG bytes are complete and, as far as the format can tell, unaltered.

    OpenCV shows half a picture and writes its complaint to stderr, where a program cannot see it.
    """
    if encoded.startswith(_JPEG_BEGIN):
        # Inside a scan every 0xFF is followed by 0: an end marker behind the last scan's header is the real one.
        return encoded.rfind(_JPEG_END) > encoded.rfind(_JPEG_SCAN) > 0
    if not encoded.startswith(_PNG_BEGIN):
        return False
    start, kind = len(_PNG_BEGIN), b""
    while start + 12 <= len(encoded) and kind != b"IEND":
        length = int.from_bytes(encoded[start : start + 4], "big")
        kind, end = encoded[start + 4 : start + 8], start + 8 + length
        if zlib.crc32(encoded[start + 4 : end]) != int.from_bytes(encoded[end : end + 4], "big"):
            return False
        start = end + 4
    return kind == b"IEND"


def _check(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ShapeMismatch(f"A picture is uint8 (height, width, 3); got {image.dtype} {image.shape}.")
