"""The episodes that the metadata lists: meta/episodes.jsonl (v2), meta/episodes/*/*.parquet (v3)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsft_datasets.lerobot.dataset_info import Family
from qsft_datasets.lerobot.json_lines import read_json_lines
from qsft_datasets.lerobot.parquet_table import read_columns
from qsft_datasets.source import Scalar
from vlm_qsft.errors import DatasetError

LINES, TABLES = "meta/episodes.jsonl", "meta/episodes"
ADDRESSES = (
    "dataset_from_index",
    "dataset_to_index",
    "data/",
    "videos/",
    "meta/",
    "stats/",
    "chunk_index",
    "data_path",
)
"""How the columns of the table begin that say where things lie, or repeat statistics."""
MAX_LENGTH = 1 << 32
EpisodeValue = Scalar | np.ndarray


@dataclass(frozen=True)
class VideoAddress:
    """Where the frames of one camera lie (v3); times are None where the table does not give them."""

    chunk: int
    file: int
    from_s: float | None
    to_s: float | None


@dataclass(frozen=True)
class ListedEpisode:
    """One episode as the metadata lists it.

    Attributes:
        length: steps.
        tasks: its instructions; often one, sometimes none or several.
        chunk, file: of its data file (v3); 0 in v2, whose files carry the episode's number.
        first_row: in the data set (v3); None where it is not given.
        videos: camera -> address (v3).
        values: everything else that is said of it.
    """

    index: int
    length: int
    tasks: tuple[str, ...]
    chunk: int
    file: int
    first_row: int | None
    videos: Mapping[str, VideoAddress]
    values: Mapping[str, EpisodeValue]


def family_on_disk(root: Path, stated: Family) -> Family:
    """Return which list of episodes is really there; the stated one where both or none is."""
    has_tables, has_lines = any((root / TABLES).glob("chunk-*/*.parquet")), (root / LINES).exists()
    if has_tables == has_lines:
        return stated
    return "v3" if has_tables else "v2"


def read_episodes(root: Path, *, family: Family, cameras: Sequence[str]) -> tuple[ListedEpisode, ...]:
    """Return the episodes in the order of their numbers.

    Args:
        cameras: whose addresses are looked for (v3).
    Raises:
        DatasetError: no list, a damaged one, or an episode listed twice.
    """
    entries = _from_tables(root) if family == "v3" else _from_lines(root)
    episodes: dict[int, ListedEpisode] = {}
    for place, record in entries:
        episode = _episode(place, record, cameras)
        if episode.index in episodes:
            raise DatasetError(f"{place} lists episode {episode.index} a second time.")
        episodes[episode.index] = episode
    if not episodes:
        raise DatasetError(f"{root / (TABLES if family == 'v3' else LINES)} lists no episodes.")
    return tuple(episodes[index] for index in sorted(episodes))


def _from_lines(root: Path) -> Iterator[tuple[str, dict[str, object]]]:
    for number, record in read_json_lines(root / LINES):
        yield f"{root / LINES}, line {number},", record


def _from_tables(root: Path) -> Iterator[tuple[str, dict[str, object]]]:
    folder = root / TABLES
    files = sorted(folder.glob("chunk-*/*.parquet"))
    if not files:
        raise DatasetError(f"{folder} holds no episode table (chunk-000/file-000.parquet).")
    for file in files:
        columns = read_columns(file, lambda name: not name.startswith(("stats/", "meta/")))
        if "episode_index" not in columns or "length" not in columns:
            raise DatasetError(f"{file} lacks episode_index or length; it is no episode table of format v3.0.")
        for row in range(len(columns["episode_index"])):
            yield f"{file}, row {row},", {name: values[row] for name, values in columns.items()}


def _episode(place: str, record: dict[str, object], cameras: Sequence[str]) -> ListedEpisode:
    first_row = record.get("dataset_from_index")
    length = _whole(place, record, "length", MAX_LENGTH)
    if length < 1:
        raise DatasetError(f"{place} lists an episode without steps.")
    return ListedEpisode(
        index=_whole(place, record, "episode_index", MAX_LENGTH),
        length=length,
        tasks=_tasks(place, record.get("tasks")),
        chunk=_whole(place, record, "data/chunk_index", MAX_LENGTH, default=0),
        file=_whole(place, record, "data/file_index", MAX_LENGTH, default=0),
        first_row=first_row if type(first_row) is int and first_row >= 0 else None,
        videos={camera: address for camera in cameras if (address := _video(place, record, camera)) is not None},
        values={
            name: value
            for name, written in record.items()
            if name not in ("episode_index", "length", "tasks") and not name.startswith(ADDRESSES)
            if (value := _value(place, written)) is not None
        },
    )


def _video(place: str, record: dict[str, object], camera: str) -> VideoAddress | None:
    prefix = f"videos/{camera}"
    if record.get(f"{prefix}/file_index") is None:
        return None
    times = [record.get(f"{prefix}/{end}_timestamp") for end in ("from", "to")]
    for time in times:
        if time is not None and not (isinstance(time, float | int) and math.isfinite(time)):
            raise DatasetError(f"{place} gives camera '{camera}' the time {time!r:.40}; expected seconds.")
    return VideoAddress(
        chunk=_whole(place, record, f"{prefix}/chunk_index", MAX_LENGTH, default=0),
        file=_whole(place, record, f"{prefix}/file_index", MAX_LENGTH),
        from_s=None if times[0] is None else float(str(times[0])),
        to_s=None if times[1] is None else float(str(times[1])),
    )


def _whole(place: str, record: dict[str, object], name: str, limit: int, *, default: int | None = None) -> int:
    value = record.get(name, default)
    if value is None:
        value = default
    if isinstance(value, float) and value.is_integer():  # pandas turns whole numbers into floats where one is missing
        value = int(value)
    if type(value) is not int or not 0 <= value < limit:
        raise DatasetError(f"{place} has {name} {value!r:.40}; expected a whole number from 0.")
    return value


def _tasks(place: str, written: object) -> tuple[str, ...]:
    texts = [] if written is None else [written] if isinstance(written, str) else written
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"{place} has tasks {written!r:.80}; expected a list of texts.")
    return tuple(texts)


def _value(place: str, written: object) -> EpisodeValue | None:
    """Return a value that an episode can have: what is neither a scalar nor a list of numbers becomes JSON text."""
    if written is None or isinstance(written, str | bool | float):
        return written
    if isinstance(written, int):
        return written if abs(written) < 1 << 63 else str(written)
    if isinstance(written, list) and written and all(_is_number(n) for n in written):
        return np.array(written)
    if isinstance(written, bytes):
        return written.hex()
    try:
        return json.dumps(written, default=str)
    except RecursionError as error:
        raise DatasetError(f"{place} is nested too deeply.") from error


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63)
