"""Instructions: not empty, no placeholder, and the ones that the frames name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.validation.finding import Fact, Result, at_episodes, at_frames, error, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.metadata import read_tasks
from vlm_qsft.errors import DatasetError

PLACEHOLDERS = frozenset(
    ("default", "default task", "none", "null", "nan", "n/a", "na", "unknown", "task", "test", "todo", "instruction",
     "language_instruction", "language instruction", "placeholder", "do something", "no instruction", "-", "?")
)  # fmt: skip


def check_instructions(subject: Subject) -> Iterator[Result]:
    """Look at the instruction of every episode."""
    told = subject.entries("tasks")
    try:
        tasks = read_tasks(subject.root)
    except DatasetError as problem:
        yield error(str(problem), "Convert the data set again.")
        return
    if subject.info.get("total_tasks") not in (None, len(tasks)):
        yield error(
            f"meta/info.json announces {subject.info['total_tasks']} tasks; meta/tasks.parquet lists {len(tasks)}.",
            "Correct total_tasks in meta/info.json.",
        )
    if told is None:
        yield error("The episode table has no column 'tasks'.", "Convert the data set again.")
        return
    texts = [[str(text) for text in texts or []] for texts in told]
    distinct = sorted({text for episode in texts for text in episode})
    shown = "; ".join(f"'{text}'" for text in distinct[:3]) + (" ..." if len(distinct) > 3 else "")
    yield Fact("instructions", f"{len(distinct)}: {shown}")
    empty = [episode for episode, given in enumerate(texts) if not given or not all(text.strip() for text in given)]
    if empty:
        yield warning(
            "An episode has no instruction.",
            "Give the mapping another feature, or instruction_text; or leave these episodes out.",
            **at_episodes(empty),
        )
    placeholder = [
        episode
        for episode, given in enumerate(texts)
        if any(text.strip().strip(".").lower() in PLACEHOLDERS for text in given)
    ]
    if placeholder:
        yield warning(
            f"The instruction '{texts[placeholder[0]][0]}' says nothing: it looks like a default.",
            "Give the mapping the feature that holds the real one, or instruction_text.",
            **at_episodes(placeholder),
        )
    yield from against_frames(subject, tasks, texts)


def against_frames(subject: Subject, tasks: tuple[str, ...], texts: list[list[str]]) -> Iterator[Result]:
    """Compare the task of every frame with the instructions of its episode."""
    if not subject.has("task_index"):
        return
    layout, index = subject.layout, subject.scalar("task_index").astype(np.int64)
    unknown = np.flatnonzero((index < 0) | (index >= len(tasks)))
    if len(unknown):
        yield error(
            f"Frame has task_index {index[unknown[0]]}; meta/tasks.parquet lists {len(tasks)} tasks.",
            "Convert the data set again.",
            **at_frames(layout, unknown),
        )
        return
    changes = np.flatnonzero(np.concatenate([[True], np.diff(index) != 0]))
    rows = np.union1d(changes, layout.starts)
    episodes = layout.numbers[np.searchsorted(layout.starts, rows, side="right") - 1]
    wrong = sorted(
        {
            int(episode)
            for row, episode in zip(rows, episodes, strict=True)
            if 0 <= episode < len(texts) and tasks[index[row]] not in texts[episode]
        }
    )
    if wrong:
        first = int(layout.starts[np.flatnonzero(layout.numbers == wrong[0])[0]])
        yield error(
            f"The frames are told '{tasks[index[first]]}', the episode table says '{texts[wrong[0]][0]}'.",
            "Convert the data set again.",
            **at_episodes(wrong),
        )
