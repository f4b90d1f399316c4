"""RecordFile: a file of records, open for reading at any place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from vlm_qsft.errors import DatasetError


class RecordFile:
    """What the readers of TFRecord and array_record share."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            DatasetError: missing or unreadable.
        """
        self.path = path
        try:
            self._size = path.stat().st_size
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115  kept open until `close`
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} cannot be read: {error}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _bytes_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)
