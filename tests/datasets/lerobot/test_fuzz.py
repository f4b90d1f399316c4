"""Metadata and data files that nobody wrote on purpose: episodes or one of our errors, and never much memory.

QSFT_FUZZ_INPUTS sets how many inputs are tried in all (`make fuzz` tries 100,000); they are spread over the tests.
hypothesis draws seeds, each seed makes a batch of inputs: a failure names its seed.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qsft_datasets.lerobot import open_source, recognise
from qsft_datasets.source import VideoStretch
from vlm_qsft.data.video_stretch import stretch_frames
from vlm_qsft.errors import QsftError
from vlm_qsft.images import encode_png

from ..mutations import fuzzed, limited_memory
from .made_sets import camera_entry, frames_of, write_v2, write_v3

pytestmark = pytest.mark.fuzz
BATCH = 10
MEMORY_BYTES = 1024**3
"""What a test may allocate beyond what the process has already: the inputs have a few kilobytes."""
PICTURE, VIDEO = "observation.images.picture", "observation.images.video"
NASTY = [0, 1, 0x7F, 0x80, 0xFF]
STRANGE: list[Any] = [
    *(None, True, 0, -1, 1, 3, 10**9, 2**63, -(2**70), 1e308, -0.5, float("nan"), float("inf"), "", "0", "\0", "image"),
    *(
        "video",
        "float32",
        "language",
        "../../x",
        "{episode_index}",
        "{video_key:99d}",
        "v3.0",
        "v2.1",
        "0:3",
        "30000/1001",
    ),
    *([], [[]], [1, 2], [None], ["a"], {}, {"a": {}}, {"names": [1]}, [0] * 40, "x" * 5000, [[["x"]]]),
]


def picture_column(episode: int, length: int) -> pa.Array:
    entries = [{"bytes": encode_png(picture[:8, :8]), "path": "x.png"} for picture in frames_of(episode, length)]
    return pa.array(entries, pa.struct({"bytes": pa.binary(), "path": pa.string()}))


COLUMNS: Any = {
    PICTURE: picture_column,
    "annotation.human.validity": lambda episode, length: [1] * length,
    "next.done": lambda episode, length: [step == length - 1 for step in range(length)],
    "matrix": lambda episode, length: [[[1.0, 2.0], [3.0, float(step)]] for step in range(length)],
    "note": lambda episode, length: ["a", None] * (length // 2) + ["b"] * (length % 2),
}
DECLARED = {PICTURE: camera_entry("image"), "matrix": {"dtype": "float64", "shape": [2, 2], "names": None}}


@pytest.fixture(scope="module")
def v2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzz") / "v2"
    return write_v2(root, lengths=(4, 3), columns=COLUMNS, declared=DECLARED, videos={VIDEO: "libx264"})


@pytest.fixture(scope="module")
def v3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzz") / "v3"
    return write_v3(root, files=((4, 3), (2,)), columns=COLUMNS, declared=DECLARED, videos={VIDEO: "libx264"})


@pytest.fixture(scope="module", autouse=True)
def bounded_memory(v2: Path, v3: Path) -> Iterator[None]:
    """More memory than this cannot be had: every test would see it fail."""
    for root in (v2, v3):
        read_everything(root)  # so that every library that is loaded later is loaded before memory is counted
    with limited_memory(MEMORY_BYTES):
        yield


def read_everything(root: Path, *, decode: bool = False) -> None:
    """Ask a source for all that it has; every value may be an error of ours."""
    recognise(root)
    source = open_source(root)
    _ = source.description
    for reference in source.references()[:4]:
        try:
            episode = source.read(reference)
        except QsftError as error:
            check(error)
            continue
        for key in episode.steps:
            try:
                values = episode.steps[key]
                assert (values.n_frames if isinstance(values, VideoStretch) else len(values)) == episode.length
                if decode and isinstance(values, VideoStretch):
                    for _ in stretch_frames(values.path, values.from_s, values.to_s, values.n_frames):
                        pass
            except QsftError as error:
                check(error)


def check(error: QsftError) -> None:
    """Hold an error against what a user needs of it; one that hides a failed allocation is none."""
    assert str(error)
    assert "malloc of size" not in str(error)


def survives(root: Path, name: str, content: bytes, *, decode: bool = False) -> None:
    """Read the data set with one file replaced; anything but an error of ours is a failure."""
    path = root / name
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        read_everything(root, decode=decode)
    except QsftError as error:
        check(error)
    finally:
        path.write_bytes(original)


def edited(content: bytes, random: Random, *, from_byte: int = 0) -> bytes:
    """Return the content after one to four changes of a few bytes, none before `from_byte`."""
    result = bytearray(content)
    for _ in range(random.randint(1, 4)):
        place, count = random.randint(min(from_byte, len(result)), len(result)), random.choice((1, 1, 1, 4, 40))
        byte = random.choice(NASTY) if random.random() < 0.5 else random.randrange(256)
        kind = random.choice(("set", "set", "flip", "insert", "delete", "repeat", "cut"))
        if kind == "set":
            result[place : place + count] = bytes([byte]) * len(result[place : place + count])
        elif kind == "flip" and place < len(result):
            result[place] ^= 1 << random.randrange(8)
        elif kind == "insert":
            result[place:place] = bytes([byte]) * count
        elif kind == "delete":
            del result[place : place + count]
        elif kind == "repeat":
            result[place:place] = result[max(0, place - count) : place]
        elif kind == "cut" and random.random() < 0.3:
            del result[place:]
    return bytes(result)


def changed(value: Any, random: Random, depth: int = 0) -> Any:
    """Return a JSON value with one place in it replaced, removed or renamed."""
    if isinstance(value, dict) and value and random.random() < 0.9 - 0.1 * depth:
        key = random.choice(list(value))
        way = random.random()
        if way < 0.15:
            return {name: entry for name, entry in value.items() if name != key}
        if way < 0.25:
            return {**value, random.choice(["", "action", "task", "timestamp", PICTURE, "x" * 300]): value[key]}
        return {**value, key: changed(value[key], random, depth + 1)}
    if isinstance(value, list) and value and random.random() < 0.7:
        place = random.randrange(len(value))
        return [*value[:place], changed(value[place], random, depth + 1), *value[place + 1 :]]
    return deepcopy(random.choice(STRANGE))


def footer_edited(content: bytes, random: Random) -> bytes:
    """Return a parquet file whose footer is changed; its length stays true, so that the change is reached."""
    length = struct.unpack("<I", content[-8:-4])[0]
    body, footer = content[: -8 - length], content[-8 - length : -8]
    footer = edited(footer, random)
    return body + footer + struct.pack("<I", len(footer)) + b"PAR1"


@fuzzed(0.2, BATCH)
def test_fuzz_any_value_in_info_json(v2: Path, v3: Path, random: Random) -> None:
    root = random.choice((v2, v3))
    record = json.loads((root / "meta/info.json").read_text())
    for _ in range(random.randint(1, 3)):
        record = changed(record, random)
    survives(root, "meta/info.json", json.dumps(record).encode())


@fuzzed(0.1, BATCH)
def test_fuzz_any_bytes_in_info_json(v2: Path, v3: Path, random: Random) -> None:
    root = random.choice((v2, v3))
    survives(root, "meta/info.json", edited((root / "meta/info.json").read_bytes(), random))


@fuzzed(0.2, BATCH)
def test_fuzz_lists_of_episodes_and_tasks(v2: Path, v3: Path, random: Random) -> None:
    name = random.choice(("meta/episodes.jsonl", "meta/tasks.jsonl"))
    content = (v2 / name).read_bytes()
    if random.random() < 0.5:
        survives(v2, name, edited(content, random))
    else:
        records = [json.loads(line) for line in content.splitlines()]
        lines = changed(records, random)
        lines = lines if isinstance(lines, list) else [lines]
        survives(v2, name, "".join(json.dumps(line) + "\n" for line in lines).encode())


@fuzzed(0.15, BATCH)
def test_fuzz_any_value_in_the_episode_table(v2: Path, v3: Path, random: Random) -> None:
    name = "meta/episodes/chunk-000/file-000.parquet"
    columns = pq.read_table(v3 / name).to_pydict()
    key = random.choice(list(columns))
    values = list(columns[key])
    values[random.randrange(len(values))] = deepcopy(random.choice(STRANGE))
    try:
        table = pa.table({**columns, key: values})
    except (pa.ArrowException, OverflowError, TypeError):
        return  # no table can hold such a column
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    survives(v3, name, sink.getvalue().to_pybytes())


@fuzzed(0.2, BATCH)
def test_fuzz_footers_of_parquet_files(v2: Path, v3: Path, random: Random) -> None:
    root, name = random.choice(
        (
            (v2, "data/chunk-000/episode_000000.parquet"),
            (v3, "data/chunk-000/file-000.parquet"),
            (v3, "meta/episodes/chunk-000/file-000.parquet"),
            (v3, "meta/tasks.parquet"),
        )
    )
    survives(root, name, footer_edited((root / name).read_bytes(), random))


@fuzzed(0.1, BATCH)
def test_fuzz_any_bytes_in_parquet_files(v2: Path, v3: Path, random: Random) -> None:
    root, name = random.choice(((v2, "data/chunk-000/episode_000001.parquet"), (v3, "data/chunk-000/file-000.parquet")))
    survives(root, name, edited((root / name).read_bytes(), random))


@fuzzed(0.05, BATCH)
def test_fuzz_any_bytes_in_videos(v2: Path, v3: Path, random: Random) -> None:
    root, name = random.choice(
        ((v2, f"videos/chunk-000/{VIDEO}/episode_000000.mp4"), (v3, f"videos/{VIDEO}/chunk-000/file-000.mp4"))
    )
    survives(root, name, edited((root / name).read_bytes(), random), decode=True)


def test_the_sets_that_are_mutated_are_whole(v2: Path, v3: Path, tmp_path: Path) -> None:
    for root in (v2, v3):
        copy = tmp_path / root.name
        shutil.copytree(root, copy)
        source = open_source(copy)
        assert source.description.notes[:1] == (
            f"meta/info.json declares '{PICTURE}' as [64, 64, 3]; its first picture is [8, 8, 3].",
        )
        for reference in source.references():
            episode = source.read(reference)
            assert set(episode.steps) >= {PICTURE, VIDEO, "matrix", "note", "task", "next.done"}
            for key in episode.steps:
                assert episode.steps[key] is not None
