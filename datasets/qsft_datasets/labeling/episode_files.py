"""The files of meta/episodes: rewritten with outcomes, attributes and the statistics of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qsft_datasets.labeling.label_frames import Frames
from qsft_datasets.labeling.outcome import COUNTERFACTUAL
from qsft_datasets.labeling.plan import LabelPlan
from qsft_datasets.labeling.recorded import RECORDED, RECORDED_SOURCE
from vlm_qsft.data.episode_table import ATTRIBUTE_PREFIX, COUNTERFACTUAL_OF, OUTCOME_SOURCE
from vlm_qsft.data.schema import INDEX_DTYPES, LABEL_DTYPES
from vlm_qsft.data.source_files import read_table
from vlm_qsft.data.statistics import numeric_statistics
from vlm_qsft.data.storage import storage_errors, sync_path
from vlm_qsft.errors import DatasetError

EPISODES_FOLDER = "meta/episodes"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"


def write_episode_files(
    root: Path, target: Path, plan: LabelPlan, frames: Frames, *, places: Sequence[tuple[int, int]], chunk_size: int
) -> None:
    """Write meta/episodes of the new data set: the recorded episodes file by file as they are, the copies after them.

    Args:
        frames: labels of all frames.
        places: (chunk, file) of the frames of every copy.
        chunk_size: files per chunk.
    Raises:
        DatasetError: a file is damaged.
        StorageError: disk full.
    """
    originals: dict[int, pa.Table] = {}
    wanted = {copy.of for copy in plan.copies}
    number = 0
    for path in sorted((root / EPISODES_FOLDER).glob("*/*.parquet")):
        table = read_table(path)
        episodes = table.column("episode_index").to_numpy()
        table = table.filter(pa.array(episodes < plan.n_recorded))
        episodes = episodes[episodes < plan.n_recorded]
        if len(episodes) == 0:
            continue
        number = max(number, number_of(path, chunk_size))
        for row, episode in enumerate(episodes.tolist()):
            if episode in wanted:
                originals[episode] = table.slice(row, 1)
        write_table(with_labels(table, episodes, plan, frames), target / path.relative_to(root))
    if plan.copies:
        place = divmod(number + 1, chunk_size)
        rows = pa.concat_tables([originals[copy.of] for copy in plan.copies], promote_options="permissive")
        rows = as_copies(rows, plan, frames, places=places, own_place=place)
        episodes = np.arange(plan.n_recorded, plan.n_recorded + len(plan.copies))
        path = target / EPISODES_PATH.format(chunk_index=place[0], file_index=place[1])
        write_table(with_labels(rows, episodes, plan, frames), path)


def number_of(path: Path, chunk_size: int) -> int:
    """Return the number of a file `chunk-003/file-012.parquet`, counted through all chunks.

    Raises:
        DatasetError: another kind of name.
    """
    chunk, file = path.parent.name.removeprefix("chunk-"), path.stem.removeprefix("file-")
    if not (chunk.isdecimal() and file.isdecimal()):
        raise DatasetError(f"{path} is no file of format v3.0: expected chunk-NNN/file-NNN.parquet.")
    return int(chunk) * chunk_size + int(file)


def as_copies(
    rows: pa.Table,
    plan: LabelPlan,
    frames: Frames,
    *,
    places: Sequence[tuple[int, int]],
    own_place: tuple[int, int],
) -> pa.Table:
    """Return the rows of the originals as those of their copies: number, place, instruction; videos stay the same."""
    first = starts_of(plan)[plan.n_recorded :]
    lengths = plan.all_lengths[plan.n_recorded :]
    numbers = np.arange(plan.n_recorded, plan.n_recorded + len(plan.copies))
    columns: dict[str, list] = {
        "episode_index": numbers.tolist(),
        "tasks": [[copy.instruction] for copy in plan.copies],
        "data/chunk_index": [chunk for chunk, _ in places],
        "data/file_index": [file for _, file in places],
        "dataset_from_index": first.tolist(),
        "dataset_to_index": (first + lengths).tolist(),
        "meta/episodes/chunk_index": [own_place[0]] * len(places),
        "meta/episodes/file_index": [own_place[1]] * len(places),
    }
    for name, values in columns.items():
        if name in rows.column_names:
            rows = with_column(rows, name, pa.array(values, rows.schema.field(name).type))
    return rows


def with_labels(table: pa.Table, episodes: np.ndarray, plan: LabelPlan, frames: Frames) -> pa.Table:
    """Return rows of the episode table with outcomes, attributes and statistics of labels and indices."""
    outcomes = [plan.all_outcomes[episode] for episode in episodes]
    columns: dict[str, pa.Array] = {
        "success": pa.array([outcome.success for outcome in outcomes], pa.bool_()),
        "terminated": pa.array([outcome.terminated for outcome in outcomes], pa.bool_()),
        "truncated": pa.array([outcome.truncated for outcome in outcomes], pa.bool_()),
        ATTRIBUTE_PREFIX + OUTCOME_SOURCE: pa.array([outcome.source for outcome in outcomes], pa.string()),
    }
    if any(verdict is not None for verdict in plan.recorded):
        known = [plan.recorded[episode] if episode < plan.n_recorded else None for episode in episodes]
        for name, attribute in RECORDED.items():
            flags = [None if verdict is None else getattr(verdict, name) for verdict in known]
            columns[ATTRIBUTE_PREFIX + attribute] = pa.array(flags, pa.bool_())
        sources = [None if verdict is None else verdict.source for verdict in known]
        columns[ATTRIBUTE_PREFIX + RECORDED_SOURCE] = pa.array(sources, pa.string())
    if plan.copies:
        of = [plan.copies[episode - plan.n_recorded].of if episode >= plan.n_recorded else None for episode in episodes]
        columns[ATTRIBUTE_PREFIX + COUNTERFACTUAL] = pa.array([episode is not None for episode in of], pa.bool_())
        columns[ATTRIBUTE_PREFIX + COUNTERFACTUAL_OF] = pa.array(of, pa.int64())
    else:
        gone = [ATTRIBUTE_PREFIX + name for name in (COUNTERFACTUAL, COUNTERFACTUAL_OF)]
        table = table.drop_columns([name for name in gone if name in table.column_names])
    columns |= label_statistics(table, episodes, plan, frames)
    for name, values in columns.items():
        table = with_column(table, name, values)
    return table


def label_statistics(table: pa.Table, episodes: np.ndarray, plan: LabelPlan, frames: Frames) -> dict[str, pa.Array]:
    """Return the columns of statistics of the labels, and of the indices of copies where the table has them."""
    starts, lengths = starts_of(plan), plan.all_lengths
    rows: list[dict[str, dict[str, list]]] = []
    for episode in episodes.tolist():
        part = slice(int(starts[episode]), int(starts[episode] + lengths[episode]))
        values = {key: frames[key][part, None] for key in LABEL_DTYPES}
        if episode >= plan.n_recorded:
            values |= copy_indices(table, plan, episode, part)
        rows.append(numeric_statistics(values))
    columns = {}
    for key, statistics in rows[0].items():
        for name in statistics:
            column, values = f"stats/{key}/{name}", pa.array([row[key][name] for row in rows])
            # All files of the episode table have the same types, whoever wrote them first.
            is_theirs = key in INDEX_DTYPES and column in table.column_names
            columns[column] = values.cast(table.schema.field(column).type) if is_theirs else values
    return columns


def copy_indices(table: pa.Table, plan: LabelPlan, episode: int, part: slice) -> dict[str, np.ndarray]:
    """Return the indices of a copy that have statistics; its time and frame numbers are the original's."""
    length, copy = part.stop - part.start, plan.copies[episode - plan.n_recorded]
    values = {
        "episode_index": np.full((length, 1), episode),
        "index": np.arange(part.start, part.stop)[:, None],
        "task_index": np.full((length, 1), copy.task),
    }
    return {key: column for key, column in values.items() if f"stats/{key}/min" in table.column_names}


def starts_of(plan: LabelPlan) -> np.ndarray:
    """Return the first frame of every episode, copies included."""
    lengths = plan.all_lengths
    return np.cumsum(lengths) - lengths


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """Return a table with this column, in the place of one of this name or at the end."""
    place = table.schema.get_field_index(name)
    return table.append_column(name, values) if place < 0 else table.set_column(place, name, values)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a file of the episode table durably.

    Raises:
        StorageError: disk full.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(None), path)
        sync_path(path)
