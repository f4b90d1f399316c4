"""The tasks of a LeRobot data set: index -> instruction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from qsft_datasets.lerobot.json_lines import read_json_lines
from qsft_datasets.lerobot.parquet_table import read_columns
from vlm_qsft.errors import DatasetError

TABLE, LINES = "meta/tasks.parquet", "meta/tasks.jsonl"
TEXT_COLUMNS = ("task", "__index_level_0__")
"""The text is the index of a pandas table; without a name it is written as the second."""


def read_tasks(root: Path) -> Mapping[int, str] | None:
    """Return the instruction of every index; None where the data set has no list of tasks.

    Raises:
        DatasetError: a damaged list, or an index with two texts.
    """
    tasks: dict[int, str] = {}
    entries = _from_table(root) if (root / TABLE).exists() else _from_lines(root) if (root / LINES).exists() else None
    if entries is None:
        return None
    for place, index, text in entries:
        if type(index) is not int or not (text is None or isinstance(text, str)):
            raise DatasetError(f"{place} is no task: index {index!r:.40}, text {text!r:.40}.")
        if tasks.setdefault(index, text or "") != (text or ""):
            raise DatasetError(f"{place} gives task {index} a second text: '{text:.80}' after '{tasks[index]:.80}'.")
    return tasks


def _from_table(root: Path) -> Iterator[tuple[str, object, object]]:
    path = root / TABLE
    columns = read_columns(path, lambda name: name in (*TEXT_COLUMNS, "task_index"))
    text = next((name for name in TEXT_COLUMNS if name in columns), None)
    if text is None or "task_index" not in columns:
        raise DatasetError(f"{path} has columns {', '.join(columns) or 'none'} of task and task_index; expected both.")
    for row, (index, task) in enumerate(zip(columns["task_index"], columns[text], strict=True)):
        yield f"{path}, row {row},", index, task


def _from_lines(root: Path) -> Iterator[tuple[str, object, object]]:
    path = root / LINES
    for number, record in read_json_lines(path):
        yield f"{path}, line {number},", record.get("task_index"), record.get("task")
