"""Riegeli/records, the container below array_record: blocks, chunks with hashes, and simple chunks of records.

A file is a sequence of chunks. Every 64 KiB a block header of 24 bytes interrupts whatever stands there. A chunk has a
header of 40 bytes (hash of the rest, size of its data, hash of the data, type, number of records, decoded size).

Supported: simple chunks, uncompressed or compressed by brotli, zstd or snappy: what array_record writes unless it is
told `transpose`. Not supported: transposed chunks, whose layout is specified nowhere but in the code of Riegeli.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from itertools import accumulate, pairwise

import pyarrow as pa

from qsft_datasets.rlds.highway_hash import highway_hash
from qsft_datasets.rlds.wire import packed_varints, read_varint
from vlm_qsft.errors import DatasetError

BLOCK_BYTES, BLOCK_HEADER_BYTES, CHUNK_HEADER_BYTES = 65536, 24, 40
SIGNATURE = bytes.fromhex("83af70d10d884a3f0000000000000000400000000000000091bac23c9287e1a9")
"""The first bytes of every file: its first block header and the hash of its first chunk header."""
SIMPLE, TRANSPOSED = b"r", b"t"
CODECS = {b"b": "brotli", b"z": "zstd", b"s": "snappy"}
MAX_DECODED_BYTES = 2**31
SNAPPY_MAX_RATIO = 22
"""64 bytes from 3, the most that an element of snappy can grow; it is decompressed in one piece, so checked before."""
PIECE_BYTES = 8 * 1024**2
_HEADER = struct.Struct("<QQQ8sQ")


@dataclass(frozen=True)
class Chunk:
    """A chunk whose hashes were checked.

    Attributes:
        kind: type, one byte.
        n_records: after decoding.
        decoded_bytes: sum of the sizes of its records.
        content: encoded.
    """

    kind: bytes
    n_records: int
    decoded_bytes: int
    content: bytes


def read_chunk(descriptor: int, offset: int, end: int) -> Chunk:
    """Return the chunk that begins at `offset` of a file.

    Args:
        end: where the chunk ends at the latest.
    Raises:
        DatasetError: truncated, no place of a chunk, or a hash does not match.
    """
    if 0 < offset % BLOCK_BYTES < BLOCK_HEADER_BYTES:
        raise DatasetError(f"offset {offset}: no chunk begins inside the header of a block")
    header = _read_between_blocks(descriptor, offset, CHUNK_HEADER_BYTES, end)
    header_hash, size, content_hash, kind_and_records, decoded_bytes = _HEADER.unpack(header)
    if highway_hash(header[8:]) != header_hash:
        raise DatasetError(f"offset {offset}: the hash of a chunk header does not match")
    content = _read_between_blocks(descriptor, offset, CHUNK_HEADER_BYTES + size, end)[CHUNK_HEADER_BYTES:]
    if highway_hash(content) != content_hash:
        raise DatasetError(f"offset {offset}: the hash of a chunk does not match its content")
    n_records = int.from_bytes(kind_and_records[1:], "little")
    return Chunk(kind_and_records[:1], n_records, decoded_bytes, content)


def chunk_records(chunk: Chunk) -> list[bytes]:
    """Return the records of a simple chunk.

    Raises:
        DatasetError: of another type, or its parts contradict each other.
    """
    if chunk.kind == TRANSPOSED:
        raise DatasetError(
            "it is a transposed chunk, which this reader does not support: write the file again without the option "
            "'transpose', or as TFRecord"
        )
    if chunk.kind != SIMPLE:
        raise DatasetError(f"its type is {chunk.kind!r}; expected records ({SIMPLE!r})")
    content = chunk.content
    if chunk.decoded_bytes > MAX_DECODED_BYTES:
        raise DatasetError(f"its records have {chunk.decoded_bytes} bytes; expected at most {MAX_DECODED_BYTES}")
    if not content:
        raise DatasetError("it is empty")
    sizes_bytes, position = read_varint(content, 1, len(content))
    if sizes_bytes > len(content) - position:
        raise DatasetError("its table of sizes is longer than itself")
    split = position + sizes_bytes
    # A size is a varint of at most ten bytes; `n_records` was checked against the size of the chunk in the file.
    table = _decompressed(content[:1], content[position:split], max_bytes=10 * chunk.n_records)
    values = _decompressed(content[:1], content[split:], max_bytes=chunk.decoded_bytes)
    sizes = [int(size) for size in packed_varints(table, 0, len(table))]
    if len(sizes) != chunk.n_records or min(sizes, default=0) < 0 or sum(sizes) != len(values):
        raise DatasetError(
            f"it announces {chunk.n_records} records of {chunk.decoded_bytes} bytes together; "
            f"it has {len(sizes)} sizes for {len(values)} bytes"
        )
    return [values[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]


def chunk_end(offset: int, size: int) -> int:
    """Return where `size` bytes end that begin at `offset`, block headers between them counted."""
    usable = BLOCK_BYTES - BLOCK_HEADER_BYTES
    headers = (size + (offset + usable - 1) % BLOCK_BYTES) // usable
    return offset + size + headers * BLOCK_HEADER_BYTES


def _read_between_blocks(descriptor: int, offset: int, size: int, end: int) -> bytes:
    last = chunk_end(offset, size)
    if last > end:
        raise DatasetError(f"offset {offset}: a chunk of {size} bytes goes beyond its place, which ends at {end}")
    raw = os.pread(descriptor, last - offset, offset)
    if len(raw) != last - offset:
        raise DatasetError(f"offset {offset}: the file ends within a chunk")
    parts = []
    position = offset
    while position < last:
        if position % BLOCK_BYTES == 0:
            position += BLOCK_HEADER_BYTES
        until = min(last, position - position % BLOCK_BYTES + BLOCK_BYTES)
        parts.append(raw[position - offset : until - offset])
        position = until
    return b"".join(parts)


def _decompressed(compression: bytes, content: bytes, *, max_bytes: int) -> bytes:
    if compression == b"\0":
        return content
    if compression not in CODECS:
        raise DatasetError(f"its compression is {compression!r}; this reader knows brotli, zstd and snappy")
    codec = CODECS[compression]
    expected, position = read_varint(content, 0, len(content))
    packed = pa.py_buffer(content)[position:]
    if expected > max_bytes or (codec == "snappy" and expected > SNAPPY_MAX_RATIO * packed.size):
        raise DatasetError(f"a part of it claims {expected} bytes after {codec}; expected at most {max_bytes}")
    if not expected:
        return b""
    try:
        if codec == "snappy":
            result = pa.decompress(packed, decompressed_size=expected, codec=codec, asbytes=True)
        else:
            result = _inflated(packed, codec, expected)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"a part of it is damaged: {codec} says {error}") from error
    if len(result) != expected:
        raise DatasetError(f"a part of it has {len(result)} bytes after {codec}; it announces {expected}")
    return result


def _inflated(packed: pa.Buffer, codec: str, expected: int) -> bytes:
    """Decompress piece by piece: memory follows what really comes out, not what the header claims."""
    with pa.CompressedInputStream(pa.BufferReader(packed), codec) as stream:
        parts: list[bytes] = []
        left = expected + 1
        while left > 0 and (piece := stream.read(min(left, PIECE_BYTES))):
            parts.append(piece)
            left -= len(piece)
    return b"".join(parts)
