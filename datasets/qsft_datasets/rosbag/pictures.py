"""Pictures in messages: sensor_msgs/Image becomes PNG, JPEG and PNG of sensor_msgs/CompressedImage pass through."""

from __future__ import annotations

import struct
from typing import Protocol

import numpy as np

from vlm_qsft.errors import DatasetError
from vlm_qsft.images import decode, encode_png

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CHANNELS = {
    "rgb8": (0, 1, 2),
    "bgr8": (2, 1, 0),
    "rgba8": (0, 1, 2),
    "bgra8": (2, 1, 0),
    "mono8": (0, 0, 0),
}
"""Encoding -> which of its channels are red, green and blue; transparency is dropped."""
WIDTHS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
JPEG_MAGIC, PNG_MAGIC = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
DEPTH_FORMATS = ("16uc1", "32fc1", "mono16", "compresseddepth", "rvl")


class RawImage(Protocol):
    """The fields of sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    step: int
    data: np.ndarray


class EncodedImage(Protocol):
    """The fields of sensor_msgs/CompressedImage."""

    format: str
    data: np.ndarray


def why_left_out(message: RawImage | EncodedImage, msgtype: str) -> str | None:
    """Return why the pictures of a topic are no camera pictures, by one of its messages; None where they are.

    Depth has no place in a data set of 8-bit colours; the order of colours of 8UC3, Bayer and YUV needs a decision.
    """
    if msgtype == IMAGE:
        encoding = getattr(message, "encoding", "")
        known = ", ".join(CHANNELS)
        return None if encoding in CHANNELS else f"pictures of encoding '{encoding}'; taken are {known}"
    stated, content = str(getattr(message, "format", "")), bytes(message.data[:32])
    if any(word in stated.lower() for word in DEPTH_FORMATS):
        return f"depth pictures of format '{stated}'"
    if content.startswith(PNG_MAGIC) and content[24:25] not in (b"\x01", b"\x02", b"\x04", b"\x08"):
        return f"PNG pictures of {content[24] if len(content) > 24 else 'unknown'} bits, format '{stated}'"
    if not content.startswith((JPEG_MAGIC, PNG_MAGIC)):
        return f"pictures of format '{stated}' that are neither JPEG nor PNG: they begin with {content[:4]!r}"
    return None


def encoded_picture(message: RawImage | EncodedImage, msgtype: str, place: str) -> bytes:
    """Return a picture as encoded bytes: those of a CompressedImage as they are, an Image as lossless PNG.

    Raises:
        DatasetError: of another encoding, or with less data than it declares; names the message.
    """
    reason = why_left_out(message, msgtype)
    if reason is not None:
        raise DatasetError(f"{place} is left out: {reason}.")
    if msgtype == COMPRESSED:
        return message.data.tobytes()
    return encode_png(rgb(message, place))  # type: ignore[arg-type]


def rgb(message: RawImage, place: str) -> np.ndarray:
    """Return the RGB picture of an Image, uint8 (height, width, 3); rows may be padded.

    `is_bigendian` means nothing for numbers of eight bits.

    Raises:
        DatasetError: less data than declared.
    """
    height, width, step, n_channels = message.height, message.width, message.step, WIDTHS[message.encoding]
    n_needed = step * (height - 1) + width * n_channels
    if height < 1 or width < 1 or step < width * n_channels or message.data.size < n_needed:
        raise DatasetError(
            f"{place} declares {height} x {width} pixels of '{message.encoding}' in rows of {step} bytes and holds "
            f"{message.data.size} bytes."
        )
    padded = np.zeros(step * height, dtype=np.uint8)
    padded[:n_needed] = message.data[:n_needed]
    pixels = padded.reshape(height, step)[:, : width * n_channels].reshape(height, width, n_channels)
    return np.ascontiguousarray(pixels[:, :, list(CHANNELS[message.encoding])])


def picture_shape(message: RawImage | EncodedImage, msgtype: str, place: str) -> tuple[int, ...]:
    """Return (height, width, 3) of a picture.

    Raises:
        DatasetError: it cannot be decoded.
    """
    return rgb(message, place).shape if msgtype == IMAGE else decode(message.data.tobytes()).shape  # type: ignore[arg-type]


def header_stamp_ns(content: bytes, place: str) -> int:
    """Return the stamp of a serialised message whose first field is a header, without reading the rest.

    CDR: two bytes that name the byte order, two of options, then seconds (int32) and nanoseconds (uint32).

    Raises:
        DatasetError: too short.
    """
    if len(content) < 12:
        raise DatasetError(f"{place} has a message of {len(content)} bytes, too few for its header.")
    seconds, nanoseconds = struct.unpack_from("<iI" if content[1] & 1 else ">iI", content, 4)
    return seconds * 10**9 + nanoseconds
