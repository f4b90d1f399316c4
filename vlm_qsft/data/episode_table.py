"""The episode table of a LeRobotDataset v3.0: where every episode and its videos lie, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from vlm_qsft.data.episode import Attribute
from vlm_qsft.data.source_files import read_table
from vlm_qsft.errors import DatasetError

ATTRIBUTE_PREFIX = "attributes/"
OUTCOME_SOURCE = "outcome_source"
"""Attribute: who decided on an episode's success: flag, path, reward, csv, review, assumed, counterfactual."""
COUNTERFACTUAL_OF = "counterfactual_of"
"""Attribute: the episode that this one is a copy of, under an instruction that it did not follow; else empty."""
EPISODE_COLUMNS = ("episode_index", "tasks", "length", "dataset_from_index", "data/chunk_index", "data/file_index")


@dataclass(frozen=True)
class EpisodeTable:
    """Where every episode lies and what is known of it; entry i is episode i.

    Attributes:
        first_frame: its first row in the data set.
        length: frames.
        instruction: what the robot was told (the first one where it changes).
        instructions: everything that it was told.
        success, terminated, truncated: outcome; None in data sets without our labels.
        attributes: name -> one value per episode, None where an episode has none.
        data_file: which entry of `Metadata.data_files` holds it.
    """

    first_frame: Int64[np.ndarray, " episode"]
    length: Int64[np.ndarray, " episode"]
    instruction: tuple[str, ...]
    instructions: tuple[tuple[str, ...], ...]
    success: Bool[np.ndarray, " episode"] | None
    terminated: Bool[np.ndarray, " episode"] | None
    truncated: Bool[np.ndarray, " episode"] | None
    attributes: Mapping[str, tuple[Attribute | None, ...]]
    data_file: Int64[np.ndarray, " episode"]

    def __len__(self) -> int:
        return len(self.length)


@dataclass(frozen=True)
class VideoPlace:
    """Where the frames of the episodes lie in video files, one entry per episode."""

    files: tuple[Path, ...]
    from_s: tuple[float, ...]


def read_episode_table(root: Path, n_episodes: int, n_frames: int) -> pa.Table:
    """Return meta/episodes without statistics, in the order of the episodes.

    Raises:
        DatasetError: missing files or columns, or counts at odds with meta/info.json.
    """
    folder = root / "meta/episodes"
    files = sorted(folder.glob("*/*.parquet"))
    if not files:
        raise DatasetError(f"{folder} holds no episode table; meta/info.json announces {n_episodes} episodes.")
    parts = []
    for file in files:
        table = read_table(file)
        missing = [name for name in EPISODE_COLUMNS if name not in table.column_names]
        if missing:
            raise DatasetError(f"{file} lacks {', '.join(missing)}; it is no episode table of format v3.0.")
        parts.append(table.select([name for name in table.column_names if not name.startswith("stats/")]))
    table = pa.concat_tables(parts, promote_options="permissive").sort_by("episode_index")
    indices, lengths = (table.column(name).to_numpy() for name in ("episode_index", "length"))
    if not np.array_equal(indices, np.arange(n_episodes)):
        raise DatasetError(f"{folder} lists {len(indices)} episodes; meta/info.json announces {n_episodes}.")
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if n_episodes else lengths
    if not np.array_equal(table.column("dataset_from_index").to_numpy(), starts) or int(lengths.sum()) != n_frames:
        raise DatasetError(
            f"{folder}: episode lengths sum to {int(lengths.sum())} frames; meta/info.json announces {n_frames}, "
            "and every episode must begin where the one before ends."
        )
    return table


def episode_table(table: pa.Table, data_file: Int64[np.ndarray, " episode"]) -> EpisodeTable:
    """Return the columns of the episode table as a record."""

    def flag(name: str) -> np.ndarray | None:
        return table.column(name).to_numpy() if name in table.column_names else None

    instructions = tuple(tuple(tasks or ("",)) for tasks in table.column("tasks").to_pylist())
    return EpisodeTable(
        first_frame=table.column("dataset_from_index").to_numpy(),
        length=table.column("length").to_numpy(),
        instruction=tuple(told[0] for told in instructions),
        instructions=instructions,
        success=flag("success"),
        terminated=flag("terminated"),
        truncated=flag("truncated"),
        attributes={
            name.removeprefix(ATTRIBUTE_PREFIX): tuple(table.column(name).to_pylist())
            for name in table.column_names
            if name.startswith(ATTRIBUTE_PREFIX)
        },
        data_file=data_file,
    )


def resolve_files(
    root: Path, template: str, table: pa.Table, prefix: str
) -> tuple[tuple[Path, ...], Int64[np.ndarray, " episode"]]:
    """Return the files that the episode table names, in order, and which of them holds every episode.

    Raises:
        DatasetError: a file is missing, or the template asks for more than a chunk and a file index.
    """
    chunks = table.column(f"{prefix}/chunk_index").to_pylist()
    numbers = table.column(f"{prefix}/file_index").to_pylist()
    places = list(zip(chunks, numbers, strict=True))
    ordered = sorted(set(places))
    key = prefix.removeprefix("videos/")
    try:
        files = tuple(root / template.format(chunk_index=c, file_index=f, video_key=key) for c, f in ordered)
    except KeyError as error:
        raise DatasetError(
            f"{root / 'meta/info.json'} names files as '{template}'; format v3.0 has chunk_index and file_index only."
        ) from error
    for file in files:
        if not file.exists():
            raise DatasetError(f"{file} is missing: the episode table names it. Copy the data set again.")
    position = {place: number for number, place in enumerate(ordered)}
    return files, np.array([position[place] for place in places], dtype=np.int64)


def read_video_place(root: Path, template: str, table: pa.Table, key: str) -> VideoPlace:
    """Return where the frames of one camera lie.

    Raises:
        DatasetError: the episode table or a file is missing it.
    """
    needed = [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise DatasetError(f"The episode table of {root} lacks {', '.join(missing)}: where does this video lie?")
    files, number = resolve_files(root, template, table, f"videos/{key}")
    return VideoPlace(tuple(files[n] for n in number), tuple(table.column(needed[2]).to_pylist()))
