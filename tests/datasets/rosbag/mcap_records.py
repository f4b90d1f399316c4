"""MCAP files as other recorders write them: chunks compressed by LZ4, and no summary behind the data.

mcap.dev/spec: a record is one byte (its kind), eight bytes (its length) and its content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import lz4.frame

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, CHUNK, DATA_END = 0x01, 0x02, 0x06, 0x0F


def records(content: bytes) -> Iterator[tuple[int, bytes]]:
    place = len(MAGIC)
    while place < len(content) - len(MAGIC):
        kind, length = struct.unpack_from("<BQ", content, place)
        yield kind, content[place + 9 : place + 9 + length]
        place += 9 + length


def record(kind: int, content: bytes) -> bytes:
    return struct.pack("<BQ", kind, len(content)) + content


def by_lz4(chunk: bytes) -> bytes:
    """Return a chunk that was not compressed, compressed."""
    start_ns, end_ns, size, _, name_length = struct.unpack_from("<QQQII", chunk)
    assert name_length == 0
    packed = lz4.frame.compress(chunk[40:])
    head = struct.pack("<QQQI", start_ns, end_ns, size, 0)
    return head + struct.pack("<I", 3) + b"lz4" + struct.pack("<Q", len(packed)) + packed


def without_summary(path: Path) -> None:
    """Rewrite an MCAP file: its chunks by LZ4, and neither index nor statistics."""
    parts = [MAGIC]
    for kind, content in records(path.read_bytes()):
        if kind == HEADER:
            parts.append(record(kind, content))
        elif kind == CHUNK:
            parts.append(record(kind, by_lz4(content)))
        elif kind == DATA_END:
            break
    parts += [record(DATA_END, bytes(4)), record(FOOTER, bytes(20)), MAGIC]
    path.write_bytes(b"".join(parts))
