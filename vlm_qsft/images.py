"""Pictures: encoded bytes and camera encodings to RGB, one deterministic resizing. The only module with cv2."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from vlm_qsft.errors import DatasetError, ShapeMismatch, UnknownName

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


def decode_reduced(encoded: bytes) -> UInt8[np.ndarray, "height width"]:
    """Return the brightness of PNG or JPEG bytes at an eighth of their size: enough to tell whether a picture is blank.

    JPEG is not decoded in full for it, which takes a tenth of the time.

    Raises:
        DatasetError: the bytes are no whole picture.
    """
    picture = None
    if _is_whole(encoded):
        picture = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
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


@dataclass(frozen=True)
class _Encoding:
    """How bytes lie in memory: bytes per channel, channels, and the conversion to RGB, None where there is none."""

    depth: int
    channels: int
    conversion: int | None


# The names of sensor_msgs/image_encodings.
ENCODINGS: Mapping[str, _Encoding] = {
    "rgb8": _Encoding(1, 3, None),
    "8UC3": _Encoding(1, 3, cv2.COLOR_BGR2RGB),  # OpenCV's own order of channels
    "bgr8": _Encoding(1, 3, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding(1, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(1, 4, cv2.COLOR_BGRA2RGB),
    "8UC4": _Encoding(1, 4, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding(1, 1, cv2.COLOR_GRAY2RGB),
    "8UC1": _Encoding(1, 1, cv2.COLOR_GRAY2RGB),
    "rgb16": _Encoding(2, 3, None),
    "bgr16": _Encoding(2, 3, cv2.COLOR_BGR2RGB),
    "mono16": _Encoding(2, 1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": _Encoding(1, 1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": _Encoding(1, 1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": _Encoding(1, 1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": _Encoding(1, 1, cv2.COLOR_BayerGRBG2RGB),
    "uyvy": _Encoding(1, 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": _Encoding(1, 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": _Encoding(1, 2, cv2.COLOR_YUV2RGB_YUYV),
    "yuv422_yuy2": _Encoding(1, 2, cv2.COLOR_YUV2RGB_YUYV),
}


def camera_pixels(
    buffer: memoryview | bytes | np.ndarray, *, encoding: str, height: int, width: int, step: int, big_endian: bool
) -> np.ndarray:
    """Return a camera's bytes as "height width" or "height width channels" of its own type: a view, nothing is copied.

    Args:
        buffer: `step * height` bytes.
        encoding: a name of sensor_msgs/image_encodings.
        height: pixels.
        width: pixels.
        step: bytes of a row, which may end in padding.
        big_endian: order of bytes of 16-bit channels.

    Raises:
        UnknownName: an encoding without a conversion to RGB.
        ShapeMismatch: more or fewer bytes than declared.
    """
    if encoding not in ENCODINGS:
        raise UnknownName("image encoding", encoding, ENCODINGS)
    layout = ENCODINGS[encoding]
    row = width * layout.channels * layout.depth
    data = np.frombuffer(buffer, dtype=np.uint8)
    if height < 1 or width < 1 or step < row or data.size != step * height:
        raise ShapeMismatch(
            f"A picture of {height} x {width} {encoding} with rows of {step} bytes needs rows of at least {row} bytes "
            f"and {step * height} bytes in all; got {data.size}."
        )
    pixels = data.reshape(height, step)[:, :row]
    if layout.depth == 2:
        pixels = pixels.view(np.dtype(">u2" if big_endian else "<u2"))
    return pixels if layout.channels == 1 else pixels.reshape(height, width, layout.channels)


def rgb_from_pixels(pixels: np.ndarray, encoding: str) -> UInt8[np.ndarray, "height width 3"]:
    """Return the RGB picture of what `camera_pixels` gave; 16-bit channels lose their lower byte."""
    layout = ENCODINGS[encoding]
    if layout.depth == 2:
        pixels = (pixels >> 8).astype(np.uint8)
    return pixels if layout.conversion is None else cv2.cvtColor(np.ascontiguousarray(pixels), layout.conversion)


def write_text(image: UInt8[np.ndarray, "height width 3"], text: str, *, row: int, column: int, scale: float) -> None:
    """Write white text on a dark edge into a picture, in place; `row` and `column` are its lower left corner.

    Args:
        image: RGB, contiguous.
        text: ASCII; OpenCV draws "?" for anything else.
        row: pixels from the top.
        column: pixels from the left.
        scale: 1 is about 22 pixels high.
    """
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, (column, row), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
