"""The framing of TFRecord: length, its checksum, content, its checksum; plain, gzip or zlib files.

    uint64 length | uint32 masked CRC32C of the length | content | uint32 masked CRC32C of the content

A file may be damaged in its middle. Everything before the damage is still read; what cannot be found any more is
announced as one lost stretch, so that whoever reads can stop there, or count it and go on with the next file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qsft_datasets.rlds.compressed_file import CompressedFile, compression_of
from qsft_datasets.rlds.crc32c import masked_crc32c
from qsft_datasets.rlds.record_file import RecordFile
from vlm_qsft.errors import DatasetError

HEADER_BYTES, FOOTER_BYTES = 12, 4
MAX_RECORD_BYTES = 2**31 - 1
"""Protocol buffers do not go further."""
_HEADER = struct.Struct("<QI")


@dataclass(frozen=True)
class RecordPlace:
    """Where a record lies.

    Attributes:
        number: of the record in its file.
        offset: of its frame, in the decompressed file.
        length: of its content, bytes; -1 where the rest of the file is lost.
        damage: why it is lost.
    """

    number: int
    offset: int
    length: int
    damage: str = ""


class TfrecordFile(RecordFile):
    """One file, plain or compressed. Plain files are read at any place, compressed ones forward from where they are."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises as `RecordFile`."""
        super().__init__(path)
        self._compressed: CompressedFile | None = None
        beginning = self._bytes_at(0, HEADER_BYTES)
        if not _is_header(beginning):
            compression = compression_of(beginning)
            if compression is not None:
                self._compressed = CompressedFile(path, compression)

    def close(self) -> None:
        """Release the file."""
        super().close()
        if self._compressed is not None:
            self._compressed.close()

    def places(self) -> Iterator[RecordPlace]:
        """Yield every record, looking at the frames only; of a damaged file, the last one says what was lost."""
        number = offset = 0
        while True:
            try:
                header = self._read(offset, HEADER_BYTES)
                if not header:
                    return
                length = self._length(header)
                if not self._reaches(offset + HEADER_BYTES + length + FOOTER_BYTES):
                    raise DatasetError(f"the file ends within its {length} bytes")
            except DatasetError as error:
                yield RecordPlace(number, offset, -1, str(error))
                return
            yield RecordPlace(number, offset, length)
            number, offset = number + 1, offset + HEADER_BYTES + length + FOOTER_BYTES

    def record(self, place: RecordPlace) -> bytes:
        """Return the content of a record, both checksums checked.

        Raises:
            DatasetError: damaged; names file and record.
        """
        try:
            length = self._length(self._read(place.offset, HEADER_BYTES))
            if length != place.length:
                raise DatasetError(f"it has {length} bytes now and had {place.length}: the file was replaced")
            if length > MAX_RECORD_BYTES:
                raise DatasetError(f"it has {length} bytes; a tf.train.Example has at most {MAX_RECORD_BYTES}")
            if self._compressed is None and not self._reaches(place.offset + HEADER_BYTES + length + FOOTER_BYTES):
                raise DatasetError(f"the file ends within its {length} bytes")
            content = self._read(place.offset + HEADER_BYTES, length)
            footer = self._read(place.offset + HEADER_BYTES + length, FOOTER_BYTES)
            if len(content) != length or len(footer) != FOOTER_BYTES:
                raise DatasetError(f"the file ends within its {length} bytes")
            if masked_crc32c(content) != int.from_bytes(footer, "little"):
                raise DatasetError("its checksum (CRC32C) does not match its content")
        except DatasetError as error:
            raise DatasetError(f"{self.path}, record {place.number}: {error}.") from error
        return content

    def _length(self, header: bytes) -> int:
        if len(header) < HEADER_BYTES:
            raise DatasetError(f"the file ends after {len(header)} of the {HEADER_BYTES} bytes of its header")
        if not _is_header(header):
            raise DatasetError("the checksum (CRC32C) of its length does not match")
        return _HEADER.unpack(header)[0]

    def _reaches(self, end: int) -> bool:
        return end <= self._size if self._compressed is None else self._compressed.reaches(end)

    def _read(self, offset: int, length: int) -> bytes:
        if self._compressed is not None:
            return self._compressed.read(offset, length)
        return self._bytes_at(offset, length) if offset < self._size else b""


def framed(content: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a record with its frame: header, content, footer."""
    length = len(content).to_bytes(8, "little")
    header = _HEADER.pack(len(content), masked_crc32c(length))
    return header, content, masked_crc32c(content).to_bytes(FOOTER_BYTES, "little")


def _is_header(content: bytes) -> bool:
    if len(content) < HEADER_BYTES:
        return False
    return masked_crc32c(content[:8]) == _HEADER.unpack(content)[1]
