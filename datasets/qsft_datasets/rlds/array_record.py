"""array_record: a Riegeli file with an index at its end, written by the package array_record and by TFDS.

user chunks | footer chunk: metadata, then (chunk offset, bytes, records) of every chunk | postscript, last 64 KiB
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from qsft_datasets.rlds.record_file import RecordFile
from qsft_datasets.rlds.riegeli import BLOCK_BYTES, SIGNATURE, chunk_records, read_chunk
from qsft_datasets.rlds.wire import BYTES, FIXED64, VARINT, fields
from vlm_qsft.errors import DatasetError

MAGIC = 0x71930E704FDAE05E
VERSION = 1


@dataclass(frozen=True)
class ChunkPlace:
    """Where the records of a chunk lie: its stretch of the file and the number of its records."""

    offset: int
    end: int
    n_records: int


class ArrayRecordFile(RecordFile):
    """One array_record file. Memory holds one chunk: `group_size` records, one where TFDS wrote the file."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises as `RecordFile`."""
        super().__init__(path)
        self._kept: tuple[ChunkPlace, list[bytes]] | None = None

    def chunks(self) -> list[ChunkPlace]:
        """Return where the chunks lie, from the index at the end of the file.

        Raises:
            DatasetError: the file is truncated or its index damaged.
        """
        try:
            return self._index()
        except DatasetError as error:
            raise DatasetError(
                f"{self.path} is no whole array_record file: {error}. Copy the data set again."
            ) from error

    def record(self, place: ChunkPlace, inside: int, number: int) -> bytes:
        """Return a record.

        Args:
            inside: which one of its chunk.
            number: of the record in its file, for people.
        Raises:
            DatasetError: damaged; names file and record.
        """
        try:
            if self._kept is None or self._kept[0] != place:
                self._kept = (place, chunk_records(read_chunk(self._file.fileno(), place.offset, place.end)))
            records = self._kept[1]
            if inside >= len(records):
                raise DatasetError(f"its chunk has {len(records)} records; the index announces {place.n_records}")
        except DatasetError as error:
            raise DatasetError(f"{self.path}, record {number}: {error}.") from error
        return records[inside]

    def _index(self) -> list[ChunkPlace]:
        if self._size < BLOCK_BYTES or self._bytes_at(0, len(SIGNATURE)) != SIGNATURE:
            raise DatasetError("it does not begin as one")
        postscript_offset = self._size - BLOCK_BYTES
        postscript = chunk_records(read_chunk(self._file.fileno(), postscript_offset, self._size))
        numbers = _numbers(postscript[0]) if postscript else {}
        footer_offset = numbers.get(1, -1)
        if numbers.get(2) != MAGIC or not 0 <= footer_offset < postscript_offset:
            raise DatasetError("its postscript is no one of array_record")
        footer = chunk_records(read_chunk(self._file.fileno(), footer_offset, postscript_offset))
        metadata = next((part for number, part in _parts(footer[0]) if number == 1), b"") if footer else b""
        announced = _numbers(metadata)
        if announced.get(1) != VERSION:
            raise DatasetError(f"its version is {announced.get(1)}; this reader takes {VERSION}")
        if announced.get(2, 0) != len(footer) - 1:
            raise DatasetError(f"its index has {len(footer) - 1} chunks; it announces {announced.get(2, 0)}")
        entries = [_numbers(entry) for entry in footer[1:]]
        offsets = [*(entry.get(1, 0) for entry in entries), footer_offset]
        places = [
            ChunkPlace(offset, end, entry.get(3, 0))
            for (offset, end), entry in zip(pairwise(offsets), entries, strict=True)
        ]
        for place in places:
            # A chunk has at least as many bytes as records (Riegeli pads it): no larger number is believed.
            if not 0 <= place.offset < place.end or place.n_records > place.end - place.offset:
                raise DatasetError(f"its index places {place.n_records} records at {place.offset} to {place.end}")
        if sum(place.n_records for place in places) != announced.get(3, 0):
            raise DatasetError("the numbers of records in its index do not add up")
        return places


def _numbers(message: bytes) -> dict[int, int]:
    """Return the whole numbers of a message by field number; the format has no two of the same."""
    result = {}
    for number, kind, first, last in fields(message, 0, len(message)):
        if kind == VARINT:
            result[number] = first
        elif kind == FIXED64:
            result[number] = int.from_bytes(message[first:last], "little")
    return result


def _parts(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a message that are messages themselves."""
    for number, kind, first, last in fields(message, 0, len(message)):
        if kind == BYTES:
            yield number, message[first:last]
