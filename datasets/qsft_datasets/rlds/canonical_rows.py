"""The episodes of a LeRobotDataset v3.0 as they are stored, one at a time: columns, encoded pictures, instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlm_qsft.data.columns import column_values
from vlm_qsft.data.metadata import Metadata, load_metadata
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.video_pictures import VideoPictures
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import encode_png


@dataclass(frozen=True)
class StoredEpisode:
    """One episode as the files hold it.

    Attributes:
        length: frames.
        numbers: feature key -> (frame, width), in the type of the file.
        texts: feature key -> one per frame.
        pictures: camera -> encoded PNG or JPEG bytes per frame.
        instructions: one per frame.
    """

    length: int
    numbers: Mapping[str, np.ndarray]
    texts: Mapping[str, Sequence[str]]
    pictures: Mapping[str, Sequence[bytes]]
    instructions: Sequence[str]


class CanonicalRows:
    """A finalized data set, read episode by episode. Picklable: worker processes open their own files.

    Memory holds the row groups of one episode: in data sets of ours that is the episode, elsewhere it may be more.
    """

    def __init__(self, root: Path) -> None:
        """Read the metadata.

        Raises:
            DatasetError: no finalized data set.
        """
        self.root = Path(root)
        self.metadata: Metadata = load_metadata(self.root)
        info = read_json(self.root / "meta/info.json")
        self.features: dict[str, dict] = dict(info["features"])
        self.splits: dict[str, object] = dict(info.get("splits") or {})
        self._videos = VideoPictures(self.metadata.schema.fps)

    def __getstate__(self) -> dict[str, object]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(state["root"])

    @property
    def n_episodes(self) -> int:
        """Episodes."""
        return len(self.metadata.episodes)

    @cached_property
    def labels(self) -> dict[str, object]:
        """Content of meta/labels.json; empty where there is none."""
        path = self.root / "meta/labels.json"
        return read_json(path) if path.exists() else {}

    def size_bytes(self, index: int) -> int:
        """Return about how large an episode is, at most: what the parquet file says, and raw frames of videos."""
        schema, table = self.metadata.schema, self.metadata.episodes
        length = int(table.length[index])
        raw = sum(3 * height * width for camera, (height, width) in schema.cameras.items() if camera in self._in_video)
        footer = self._footers[int(table.data_file[index])]
        groups = [footer.row_group(group) for group, _, _ in self._groups(index)]
        rows = sum(group.num_rows for group in groups)
        return length * raw + sum(group.total_byte_size for group in groups) * length // max(rows, 1)

    def episode(self, index: int) -> StoredEpisode:
        """Return one episode.

        Raises:
            DatasetError: a file is damaged or a picture is missing; names it.
        """
        table = self._table(index)
        numbers, texts = {}, {}
        for key, feature in self.features.items():
            if feature["dtype"] == "string":
                texts[key] = table.column(key).to_pylist()
            elif key in self.metadata.widths:
                values = column_values(table.column(key), key, self.metadata.widths[key])
                numbers[key] = values.astype(feature["dtype"], copy=False)
        pictures = {camera: self._pictures(table, index, camera) for camera in self.metadata.schema.cameras}
        instructions = [self.metadata.tasks[int(task)] for task in numbers["task_index"][:, 0]]
        return StoredEpisode(table.num_rows, numbers, texts, pictures, instructions)

    @property
    def _in_video(self) -> frozenset[str]:
        return frozenset(self.metadata.videos)

    @cached_property
    def _footers(self) -> list[pq.FileMetaData]:
        return [pq.read_metadata(file) for file in self.metadata.data_files]

    @cached_property
    def _file_starts(self) -> np.ndarray:
        """First frame of every data file."""
        table = self.metadata.episodes
        rows = np.bincount(table.data_file, weights=table.length, minlength=len(self.metadata.data_files))
        return np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)

    def _groups(self, index: int) -> list[tuple[int, int, int]]:
        """Return the row groups of an episode: (group, first row, end) with rows counted from its file's beginning."""
        table = self.metadata.episodes
        number = int(table.data_file[index])
        first = int(table.first_frame[index] - self._file_starts[number])
        end = first + int(table.length[index])
        footer = self._footers[number]
        found, start = [], 0
        for group in range(footer.num_row_groups):
            stop = start + footer.row_group(group).num_rows
            if start < end and first < stop:
                found.append((group, start, stop))
            start = stop
        if not found or found[-1][2] < end:
            raise DatasetError(
                f"{self.metadata.data_files[number]} has {start} rows; the episode table places episode {index} at "
                f"{first} to {end}."
            )
        return found

    def _table(self, index: int) -> pa.Table:
        episodes = self.metadata.episodes
        number = int(episodes.data_file[index])
        path = self.metadata.data_files[number]
        groups = self._groups(index)
        try:
            with pq.ParquetFile(path) as file:
                table = file.read_row_groups([group for group, _, _ in groups], use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(f"{path} is damaged at episode {index} ({error}). Copy the data set again.") from error
        missing = [key for key in self._stored_keys if key not in table.column_names]
        if missing:
            raise DatasetError(f"{path} has no column '{missing[0]}'; meta/info.json declares it.")
        first = int(episodes.first_frame[index] - self._file_starts[number]) - groups[0][1]
        return table.slice(first, int(episodes.length[index]))

    @property
    def _stored_keys(self) -> list[str]:
        return [key for key, feature in self.features.items() if feature["dtype"] != "video"]

    def _pictures(self, table: pa.Table, index: int, camera: str) -> list[bytes]:
        if camera not in self._in_video:
            key = self.metadata.image_keys[camera]
            encoded = [picture and picture["bytes"] for picture in table.column(key).to_pylist()]
            if None in encoded:
                raise DatasetError(f"{self.root}, episode {index}: frame {encoded.index(None)} of '{key}' is empty.")
            return encoded
        place = self.metadata.videos[camera]
        stamps = column_values(table.column("timestamp"), "timestamp", 1)[:, 0]
        times_s = [place.from_s[index] + float(stamp) for stamp in stamps]
        return [encode_png(frame) for time_s in times_s for frame in self._videos.frames(place.files[index], [time_s])]
