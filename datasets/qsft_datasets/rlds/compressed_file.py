"""gzip and zlib files, read forward in pieces: memory follows what really comes out, not what a header claims."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal

from vlm_qsft.errors import DatasetError

Compression = Literal["gzip", "zlib"]
PIECE_BYTES = 1024**2
_WINDOW_BITS = {"gzip": 31, "zlib": 15}


def compression_of(beginning: bytes) -> Compression | None:
    """Return how a file is compressed that begins so; None for any other file."""
    if beginning[:2] == b"\x1f\x8b":
        return "gzip"
    if len(beginning) >= 2 and beginning[0] == 0x78 and int.from_bytes(beginning[:2], "big") % 31 == 0:
        return "zlib"
    return None


class CompressedFile:
    """A compressed file as if it were plain; going back starts over from its beginning."""

    def __init__(self, path: Path, compression: Compression) -> None:
        self.path, self._compression = path, compression
        self._file = open(path, "rb")  # noqa: SIM115  kept open until `close`
        self._start_over()

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset` of the decompressed content, fewer only where it ends.

        Raises:
            DatasetError: the compressed content is damaged or truncated.
        """
        self._forward_to(offset)
        parts: list[bytes] = []
        wanted = length
        while wanted > 0:
            piece = self._take(wanted)
            if not piece:
                break
            parts.append(piece)
            wanted -= len(piece)
        return b"".join(parts)

    def reaches(self, end: int) -> bool:
        """Tell whether the decompressed content has at least `end` bytes.

        Raises:
            DatasetError: the compressed content is damaged or truncated.
        """
        self._forward_to(end)
        return self._position == end

    def _forward_to(self, offset: int) -> None:
        if offset < self._position:
            self._start_over()
        while self._position < offset and self._take(min(offset - self._position, PIECE_BYTES)):
            pass

    def _start_over(self) -> None:
        self._file.seek(0)
        self._inflate = zlib.decompressobj(_WINDOW_BITS[self._compression])
        self._waiting, self._position = b"", 0
        self._ready, self._taken = b"", 0

    def _take(self, wanted: int) -> bytes:
        """Return the next bytes, at most `wanted`; none at the end."""
        if self._taken == len(self._ready):
            self._ready, self._taken = self._next_piece(), 0
        piece = self._ready[self._taken : self._taken + wanted]
        self._taken += len(piece)
        self._position += len(piece)
        return piece

    def _next_piece(self) -> bytes:
        while True:
            if self._inflate.eof:
                # gzip files may be several members behind each other.
                self._waiting = self._inflate.unused_data or self._file.read(PIECE_BYTES)
                if not self._waiting:
                    return b""
                self._inflate = zlib.decompressobj(_WINDOW_BITS[self._compression])
            raw = self._waiting or self._file.read(PIECE_BYTES)
            try:
                piece = self._inflate.decompress(raw, PIECE_BYTES)
            except zlib.error as error:
                raise DatasetError(f"the compressed file is damaged ({error})") from error
            self._waiting = self._inflate.unconsumed_tail
            if piece:
                return piece
            if not raw and not self._inflate.eof:
                raise DatasetError("the compressed file is truncated")
