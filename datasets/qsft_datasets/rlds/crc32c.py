"""The masked CRC32C of TFRecord files."""

from __future__ import annotations

from vlm_qsft.errors import MissingDependency

MASK_DELTA = 0xA282EAD8


def masked_crc32c(content: bytes) -> int:
    """Return the checksum that TFRecord stores: CRC32C, turned by 15 bits, plus a constant.

    Raises:
        MissingDependency: google-crc32c is not installed.
    """
    try:
        from google_crc32c import value
    except ImportError as error:
        raise MissingDependency("RLDS needs google-crc32c: pip install 'vlm-qsft[rlds]'.") from error
    crc = value(content)
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF
