"""Subject: a data set under validation, read as far as it can be read.

Where `DatasetReader` refuses a data set at its first mistake, this one goes on: columns come as they are, files may be
missing. Columns are read one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qsft_datasets.mapping import Mapping as SourceMapping
from qsft_datasets.mapping_file import MAPPING_NAME, load_mapping
from vlm_qsft.data.columns import column_values
from vlm_qsft.data.episode_table import ATTRIBUTE_PREFIX, COUNTERFACTUAL_OF
from vlm_qsft.data.features import dimension_names
from vlm_qsft.data.metadata import refuse_unfinished
from vlm_qsft.data.parquet_pictures import read_footer
from vlm_qsft.data.schema import ACTION_KEY, FORMAT_VERSION, STATE_KEY
from vlm_qsft.data.source_files import read_json, read_table
from vlm_qsft.errors import DatasetError, QsftError

if TYPE_CHECKING:
    from qsft_datasets.validation.pictures import CameraSample

NOT_NUMBERS = ("image", "video", "string", "language")


@dataclass(frozen=True)
class Layout:
    """The episodes as the data files have them: stretches of one `episode_index`.

    Attributes:
        numbers: `episode_index` of every stretch.
        starts: first row of every stretch.
        lengths: rows of every stretch.
    """

    numbers: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def place(self, row: int) -> tuple[int, int]:
        """Return (episode, frame in it) of a row."""
        stretch = int(np.searchsorted(self.starts, row, side="right")) - 1
        return int(self.numbers[stretch]), int(row - self.starts[stretch])

    def episodes_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the distinct episodes of rows, ascending."""
        return np.unique(self.numbers[np.searchsorted(self.starts, rows, side="right") - 1])


class Subject:
    """What the checks look at."""

    def __init__(self, root: Path) -> None:
        """Read the metadata.

        Raises:
            DatasetError: no finished data set of format v3.0, or its description cannot be read at all.
        """
        self.root = Path(root)
        refuse_unfinished(self.root)
        self.info = read_json(self.root / "meta/info.json")
        version = self.info.get("codebase_version")
        if version != FORMAT_VERSION:
            raise DatasetError(
                f"{self.root} has format version {version}; validation takes {FORMAT_VERSION}. Convert first: "
                f"`qsft convert {self.root} NEW_FOLDER`."
            )
        features = self.info.get("features")
        if not isinstance(features, dict) or not all(
            isinstance(feature, dict) and {"dtype", "shape"} <= set(feature) for feature in features.values()
        ):
            raise DatasetError(f"{self.root / 'meta/info.json'} describes no features: nothing can be checked.")
        self.features: dict[str, dict[str, Any]] = features
        self.labels = self._optional("meta/labels.json")
        self.stats = self._optional("meta/stats.json")
        self.fps = self._fps()
        self.table = self._episode_table()
        self._columns: dict[str, np.ndarray] = {}

    @property
    def cameras(self) -> dict[str, dict[str, Any]]:
        """Feature key -> description of every camera."""
        return {key: feature for key, feature in self.features.items() if feature["dtype"] in ("image", "video")}

    @property
    def widths(self) -> dict[str, int]:
        """Feature key -> numbers per frame, of everything that is a number."""
        return {
            key: int(np.prod(feature["shape"], dtype=int))
            for key, feature in self.features.items()
            if feature["dtype"] not in NOT_NUMBERS
        }

    @cached_property
    def data_files(self) -> list[Path]:
        """The parquet files of data/ in the order in which LeRobot reads them."""
        return sorted((self.root / "data").glob("*/*.parquet"))

    @cached_property
    def footers(self) -> list[pq.FileMetaData]:
        """The footer of every data file.

        Raises:
            DatasetError: a file is truncated.
        """
        return [read_footer(path) for path in self.data_files]

    @property
    def rows_of_files(self) -> list[int]:
        """Rows of every data file. Raises as `footers`."""
        return [footer.num_rows for footer in self.footers]

    @cached_property
    def schemas(self) -> list[pa.Schema]:
        """The columns of every data file. Raises as `footers`."""
        return [footer.schema.to_arrow_schema() for footer in self.footers]

    @cached_property
    def layout(self) -> Layout:
        """The episodes as the data files have them.

        Raises:
            DatasetError: there is no `episode_index`.
        """
        index = self.column("episode_index")[:, 0].astype(np.int64)
        if len(index) == 0:
            raise DatasetError(f"{self.root / 'data'} holds no frame.")
        starts = np.concatenate([[0], np.flatnonzero(np.diff(index)) + 1])
        return Layout(index[starts], starts, np.diff(np.concatenate([starts, [len(index)]])))

    def column(self, key: str) -> np.ndarray:
        """Return a column as (frame, width); state, action and single numbers are kept in memory.

        Raises:
            DatasetError: a file is missing or damaged, the column is missing or has entries of another size.
        """
        if key in self._columns:
            return self._columns[key]
        if key not in self.widths:
            raise DatasetError(f"There is no column '{key}' of numbers.")
        if not self.data_files:
            raise DatasetError(f"{self.root / 'data'} holds no parquet file.")
        parts = []
        for path, schema in zip(self.data_files, self.schemas, strict=True):
            if key not in schema.names:
                raise DatasetError(f"{path} has no column '{key}'; meta/info.json declares it.")
            parts.append(column_values(read_table(path, [key]).column(key), key, self.widths[key]))
        values = np.concatenate(parts)
        if values.shape[1] == 1 or key in (STATE_KEY, ACTION_KEY):
            self._columns[key] = values
        return values

    def has(self, *keys: str) -> bool:
        """Tell whether columns are declared and can be read."""
        try:
            return all(key in self.widths and self.column(key) is not None for key in keys)
        except QsftError:
            return False

    def scalar(self, key: str) -> np.ndarray:
        """Return a column of one number per frame as (frame,). Raises as `column`."""
        values = self.column(key)
        if values.shape[1] != 1:
            raise DatasetError(f"Column '{key}' has {values.shape[1]} numbers per frame; expected one.")
        return values[:, 0]

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names of a vector's numbers."""
        return dimension_names(self.features.get(key), key.rsplit(".", 1)[-1])

    def dimension(self, key: str, place: int) -> str:
        """Return the name of one number of a column, for people."""
        names = self.names(key)
        return f"{key}: {names[place]}" if len(names) > 1 else key

    def entries(self, column: str) -> list[Any] | None:
        """Return a column of the episode table; None where it has none of this name."""
        return self.table.column(column).to_pylist() if column in self.table.column_names else None

    def attribute(self, name: str) -> list[Any] | None:
        """Return an attribute of every episode; None where there is none of this name."""
        return self.entries(ATTRIBUTE_PREFIX + name)

    @cached_property
    def samples(self) -> list[CameraSample]:
        """Sampled pictures of every camera. Raises as `sample_cameras`."""
        from qsft_datasets.validation.pictures import sample_cameras

        return sample_cameras(self)

    @cached_property
    def mapping(self) -> SourceMapping | None:
        """What a person has decided before the conversion; None where the data set was not converted here.

        Raises:
            InvalidSetting, UnknownName: the file was changed and is wrong.
        """
        path = self.root / "meta" / MAPPING_NAME
        return load_mapping(path) if path.exists() else None

    @property
    def n_episodes(self) -> int:
        """Episodes that the episode table lists."""
        return self.table.num_rows

    @cached_property
    def copies(self) -> frozenset[int]:
        """Counterfactual copies, which repeat the frames of others on purpose."""
        of = self.attribute(COUNTERFACTUAL_OF) or []
        return frozenset(episode for episode, original in enumerate(of) if original is not None)

    def _optional(self, place: str) -> Mapping[str, Any]:
        return read_json(self.root / place) if (self.root / place).exists() else {}

    def _fps(self) -> Fraction:
        stated = self.labels.get("fps", self.info.get("fps"))
        try:
            fps = Fraction(str(stated))
        except (ValueError, ZeroDivisionError) as problem:
            raise DatasetError(f"{self.root / 'meta/info.json'} has no frame rate: fps is {stated!r}.") from problem
        if fps <= 0:
            raise DatasetError(f"{self.root / 'meta/info.json'} has a frame rate of {stated}; expected more than 0.")
        return fps

    def _episode_table(self) -> pa.Table:
        folder = self.root / "meta/episodes"
        files = sorted(folder.glob("*/*.parquet"))
        if not files:
            raise DatasetError(f"{folder} holds no episode table.")
        parts = []
        for path in files:
            table = read_table(path)
            parts.append(table.select([name for name in table.column_names if not name.startswith("stats/")]))
        table = pa.concat_tables(parts, promote_options="permissive")
        missing = [name for name in ("episode_index", "length") if name not in table.column_names]
        if missing:
            raise DatasetError(f"{folder} lacks {', '.join(missing)}: it is no episode table of format v3.0.")
        return table.sort_by("episode_index")
