"""Size, channels and depth of an encoded picture, from its header."""

from __future__ import annotations

import struct
from dataclasses import dataclass

PNG = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By colour type; a palette (3) holds colours."""
JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


@dataclass(frozen=True)
class PictureHeader:
    """What a header says: (height, width, channels) and bits per number."""

    shape: tuple[int, int, int]
    bits: int


def picture_header(encoded: bytes) -> PictureHeader | None:
    """Return the header of a PNG or JPEG picture; None for anything else."""
    if encoded.startswith(PNG) and encoded[12:16] == b"IHDR" and len(encoded) >= 26:
        width, height, bits, colour = struct.unpack(">IIBB", encoded[16:26])
        return PictureHeader((height, width, PNG_CHANNELS.get(colour, 3)), bits)
    if encoded.startswith(b"\xff\xd8"):
        return _jpeg(encoded)
    return None


def _jpeg(encoded: bytes) -> PictureHeader | None:
    at = 2
    while at + 10 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker == 0xFF:  # padding before a marker
            at += 1
            continue
        if marker in JPEG_FRAMES:
            bits, height, width, channels = struct.unpack(">BHHB", encoded[at + 4 : at + 10])
            return PictureHeader((height, width, channels), bits)
        at += 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")
    return None
