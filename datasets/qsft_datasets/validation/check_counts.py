"""Counts: rows, episodes and tasks are as many as the metadata says, and every episode lies where it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from qsft_datasets.validation.finding import Fact, Result, at_episodes, at_frames, error
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.writer import REFUSED_PATH
from vlm_qsft.errors import DatasetError

AGAIN = "Copy the data set again, or convert it again."


def check_counts(subject: Subject) -> Iterator[Result]:
    """Compare what is there with what meta/info.json and the episode table announce."""
    lengths = np.array(subject.entries("length"), dtype=np.int64)
    numbers = np.array(subject.entries("episode_index"), dtype=np.int64)
    refused = subject.root / REFUSED_PATH
    if refused.exists():
        yield Fact("left out when converting", f"{len(read_list(refused))} episodes, see {REFUSED_PATH}")
    announced = {name: subject.info.get(name) for name in ("total_episodes", "total_frames")}
    yield Fact("episodes", str(len(lengths)))
    yield Fact("frames", str(int(lengths.sum())))
    if announced["total_episodes"] != len(lengths):
        yield error(
            f"meta/info.json announces {announced['total_episodes']} episodes; the episode table lists {len(lengths)}.",
            AGAIN,
        )
    if announced["total_frames"] != int(lengths.sum()):
        yield error(
            f"meta/info.json announces {announced['total_frames']} frames; the lengths of the episodes sum to "
            f"{int(lengths.sum())}.",
            AGAIN,
        )
    if not np.array_equal(numbers, np.arange(len(numbers))):
        yield error(f"The episode table numbers its episodes {numbers[:5].tolist()}...; expected 0, 1, 2, ...", AGAIN)
    yield from check_places(subject, lengths)
    if not subject.data_files:
        yield error(
            f"data/ holds no parquet file; meta/info.json announces {announced['total_frames']} frames in "
            f"'{subject.info.get('data_path')}'.",
            AGAIN,
        )
        return
    yield from check_rows(subject, lengths)


def read_list(path: Path) -> list:
    """Read a JSON list.

    Raises:
        DatasetError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise DatasetError(f"{path} is no valid JSON: {problem}.") from problem
    if not isinstance(content, list):
        raise DatasetError(f"{path} holds no JSON list.")
    return content


def check_places(subject: Subject, lengths: np.ndarray) -> Iterator[Result]:
    """Look at where the episode table says that episodes begin, and at the files that it names."""
    starts = subject.entries("dataset_from_index")
    expected = np.cumsum(lengths) - lengths
    if starts is None or not np.array_equal(starts, expected):
        first = 0 if starts is None else int(np.flatnonzero(np.array(starts) != expected)[0])
        yield error("An episode does not begin where the one before it ends.", AGAIN, **at_episodes([first]))
    chunks, files = subject.entries("data/chunk_index"), subject.entries("data/file_index")
    template = str(subject.info.get("data_path", ""))
    if chunks is None or files is None:
        yield error("The episode table does not say in which data file an episode lies.", AGAIN)
        return
    for chunk, file in sorted(set(zip(chunks, files, strict=True))):
        try:
            path = subject.root / template.format(chunk_index=chunk, file_index=file)
        except (KeyError, ValueError, IndexError):
            yield error(
                f"meta/info.json names data files as '{template}'; format v3.0 has chunk_index and file_index only.",
                "Convert the data set again: this one only claims to be v3.0.",
            )
            return
        if not path.exists():
            episodes = [e for e, place in enumerate(zip(chunks, files, strict=True)) if place == (chunk, file)]
            yield error(f"{path.relative_to(subject.root)} is missing.", AGAIN, **at_episodes(episodes))


def check_rows(subject: Subject, lengths: np.ndarray) -> Iterator[Result]:
    """Count the rows of every episode in the data files, and look at their indices."""
    found = sum(subject.rows_of_files)
    if found != int(lengths.sum()):
        yield error(f"The data files hold {found} frames; the episode table announces {int(lengths.sum())}.", AGAIN)
    layout = subject.layout
    repeated = np.flatnonzero(np.bincount(layout.numbers[layout.numbers >= 0]) > 1)
    if len(repeated):
        yield error("The frames of an episode lie in several places.", AGAIN, **at_episodes(repeated))
        return
    rows = np.zeros(len(lengths), np.int64)
    known = (layout.numbers >= 0) & (layout.numbers < len(lengths))
    rows[layout.numbers[known]] = layout.lengths[known]
    if not known.all():
        yield error(
            "The data files hold episodes that the episode table does not list.",
            AGAIN,
            **at_episodes(np.sort(layout.numbers[~known])),
        )
    different = np.flatnonzero(rows != lengths)
    if len(different):
        first = int(different[0])
        yield error(
            f"The data files hold {rows[first]} frames of it; the episode table announces {lengths[first]}.",
            AGAIN,
            **at_episodes(different),
        )
    counted = np.arange(found)
    for key, expected, how in (
        ("index", counted, "0, 1, 2, ..."),
        ("frame_index", counted - np.repeat(layout.starts, layout.lengths), "from 0"),
    ):
        if subject.has(key) and len(wrong := np.flatnonzero(subject.scalar(key) != expected)):
            yield error(f"The column '{key}' does not count {how}.", AGAIN, **at_frames(layout, wrong))
