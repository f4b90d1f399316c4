"""What the first bytes of an encoded picture say: format, size, colours. Nothing is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG frame header; three of the range mean something else."""
JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""


@dataclass(frozen=True)
class PictureHeader:
    """The declared content of an encoded picture.

    Attributes:
        channels: colours, 1 for grey and for palettes.
        bits: per channel.
    """

    kind: Literal["png", "jpeg"]
    height: int
    width: int
    channels: int
    bits: int

    @property
    def is_plain(self) -> bool:
        """True where every decoder gives 8-bit RGB without a choice."""
        return self.channels == 3 and self.bits == 8


def picture_header(encoded: bytes) -> PictureHeader | None:
    """Return what a PNG or JPEG picture declares; None for anything else and for damaged headers."""
    if encoded.startswith(PNG_SIGNATURE):
        return _png(encoded)
    return _jpeg(encoded) if encoded.startswith(b"\xff\xd8") else None


def _png(encoded: bytes) -> PictureHeader | None:
    if len(encoded) < 29 or encoded[12:16] != b"IHDR":
        return None
    width, height, bits, colour = struct.unpack(">IIBB", encoded[16:26])
    channels = PNG_CHANNELS.get(colour)
    return PictureHeader("png", height, width, channels, bits) if channels else None


def _jpeg(encoded: bytes) -> PictureHeader | None:
    place = 2
    while place + 4 <= len(encoded):
        if encoded[place] != 0xFF:
            return None
        marker = encoded[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
        elif marker in JPEG_ALONE:
            place += 2
        elif marker in JPEG_FRAMES:
            if place + 10 > len(encoded):
                return None
            bits, height, width, channels = struct.unpack(">BHHB", encoded[place + 4 : place + 10])
            return PictureHeader("jpeg", height, width, channels, bits)
        elif marker == 0xDA:  # pictures without a frame header are damaged
            return None
        else:
            place += 2 + struct.unpack(">H", encoded[place + 2 : place + 4])[0]
    return None
