"""DataFiles: the parquet files of data/, one row group per episode."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vlm_qsft.data.file_numbers import DATA_PATH, numbered
from vlm_qsft.data.schema import DatasetSchema, arrow_schema, image_key, stored_cameras
from vlm_qsft.data.storage import storage_errors

DATA_FILE_BYTES = 100 * 1024**2


class DataFiles:
    """The parquet files of data/, each closed when it is full."""

    def __init__(self, target: Path, schema: DatasetSchema) -> None:
        self._target, self._columns = target, arrow_schema(schema)
        pictures = {image_key(camera) for camera in stored_cameras(schema)}
        self._settings = {
            # Pictures are compressed already; statistics of their bytes would only bloat the footer.
            "compression": {
                f"{name}.{part}" if part else name: "none" if name in pictures else "snappy"
                for name in self._columns.names
                for part in (("bytes", "path") if name in pictures else leaf_names(self._columns.field(name).type))
            },
            "write_statistics": ["episode_index", "frame_index", "index", "task_index"],
            "use_dictionary": False,
        }
        self._writer: pq.ParquetWriter | None = None
        self._number, self._bytes = -1, 0

    def add(self, table: pa.Table) -> int:
        """Write one episode as a row group and return the number of the file that holds it.

        Raises:
            StorageError: disk full.
        """
        if self._writer is None or self._bytes + table.nbytes > DATA_FILE_BYTES:
            self.close()
            self._number, self._bytes = self._number + 1, 0
            path = self._target / numbered(DATA_PATH, self._number)
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = pq.ParquetWriter(path, self._columns, **self._settings)
        with storage_errors(self._target / numbered(DATA_PATH, self._number)):
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._bytes += table.nbytes
        return self._number

    def close(self) -> None:
        """Write the footer of the open file.

        Raises:
            StorageError: disk full.
        """
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with storage_errors(self._target):
                writer.close()


def leaf_names(kind: pa.DataType) -> tuple[str, ...]:
    """Return what parquet appends to a column's name to address its values."""
    return ("list.element",) if pa.types.is_fixed_size_list(kind) else ("",)
