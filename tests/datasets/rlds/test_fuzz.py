"""Files that nobody wrote on purpose: any bytes give episodes or one of our errors, and never much memory.

QSFT_FUZZ_INPUTS sets how many inputs are tried in all (`make fuzz` tries 100,000); they are spread over the tests.
hypothesis draws seeds, each seed makes a batch of inputs: a failure names its seed and what was changed.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from random import Random

import pytest

from qsft_datasets.rlds import RldsSource, recognise
from qsft_datasets.rlds.array_record import ArrayRecordFile
from qsft_datasets.rlds.highway_hash import highway_hash
from qsft_datasets.rlds.tfrecord import framed
from vlm_qsft.errors import QsftError

from ..mutations import fuzzed, limited_memory
from .handmade import feature_dict, image, sequence, slow_example, steps, tensor, text

pytestmark = pytest.mark.fuzz
BATCH = 20
MEMORY_BYTES = 512 * 1024**2
"""What a test may allocate beyond what the process has already: the inputs have a few kilobytes."""
FEATURES = {
    "steps": steps(
        {
            "action": feature_dict({"world": tensor("float32", 3), "open": tensor("bool")}),
            "image": image(-1, -1, 3),
            "pose": tensor("float64", 2, encoding="zlib"),
            "grid": tensor("int16", -1, -1, encoding="bytes"),
            "words": sequence(text()),
            "deep": sequence(sequence(tensor("int32"))),
            "fixed": sequence(tensor("uint8"), 2),
        }
    ),
    "id": text(),
    "scores": sequence(tensor("float16")),
}


def record(length: int) -> bytes:
    n = range(length)
    return slow_example(
        {
            "steps/action/world": ("float", [0.5 * place for place in range(3 * length)]),
            "steps/action/open": ("int", [place % 2 for place in n]),
            "steps/image": ("bytes", [b"\x89PNG" + bytes([place]) for place in n]),
            "steps/pose": ("bytes", [zlib.compress(bytes(16)) for _ in n]),
            "steps/grid/value": ("bytes", [bytes(4 * place) for place in n]),
            "steps/grid/shape": ("int", [axis for place in n for axis in (place, 2)]),
            "steps/words/ragged_flat_values": ("bytes", [b"w"] * (length * (length - 1) // 2)),
            "steps/words/ragged_row_lengths_0": ("int", list(n)),
            "steps/deep/ragged_flat_values": ("int", [-7] * length),
            "steps/deep/ragged_row_lengths_0": ("int", [1] * length),
            "steps/deep/ragged_row_lengths_1": ("int", [1] * length),
            "steps/fixed": ("int", [200] * (2 * length)),
            "id": ("bytes", [b"x"]),
            "scores": ("float", [1.0, 2.0]),
        }
    )


RECORDS = [record(2), record(3)]
SHARD = b"".join(part for content in RECORDS for part in framed(content))
FEATURES_JSON = json.dumps(feature_dict(FEATURES)).encode()
INFO_JSON = json.dumps(
    {"name": "made", "fileFormat": "tfrecord", "splits": [{"name": "train", "shardLengths": ["2"], "numBytes": "9"}]}
).encode()
ARRAY_RECORD = gzip.decompress((Path(__file__).parent / "files/brotli.array_record.gz").read_bytes())


@pytest.fixture(scope="module", autouse=True)
def bounded_memory() -> Iterator[None]:
    """More memory than this is a MemoryError, which no test forgives."""
    with limited_memory(MEMORY_BYTES):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


NASTY = [0, 1, 0x7F, 0x80, 0xFF]


def edited(content: bytes, random: Random) -> bytes:
    """Return the content after one to four changes of a few bytes."""
    result = bytearray(content)
    for _ in range(random.randint(1, 4)):
        place, count = random.randint(0, len(result)), random.choice((1, 1, 1, 4, 40))
        byte = random.choice(NASTY) if random.random() < 0.5 else random.randrange(256)
        kind = random.choice(("set", "set", "flip", "insert", "delete", "repeat", "cut"))
        if kind == "set":
            result[place : place + 1] = bytes([byte])
        elif kind == "flip" and place < len(result):
            result[place] ^= 1 << random.randrange(8)
        elif kind == "insert":
            result[place:place] = bytes([byte]) * count
        elif kind == "delete":
            del result[place : place + count]
        elif kind == "repeat":
            result[place:place] = result[place : place + count]
        elif kind == "cut" and random.random() < 0.2:
            del result[place:]
    return bytes(result)


def read_everything(
    folder: Path, *, shard: bytes = SHARD, features: bytes = FEATURES_JSON, info: bytes = INFO_JSON
) -> None:
    """Read a folder as a conversion does; damage is an error of ours or it is a defect."""
    (folder / "features.json").write_bytes(features)
    (folder / "dataset_info.json").write_bytes(info)
    (folder / "made-train.tfrecord-00000-of-00001").write_bytes(shard)
    try:
        source = RldsSource(folder)
        description = source.description
        references = source.references()
        assert len(references) < 10_000
    except QsftError:
        return
    paths = {feature.path for feature in description.features}
    for reference in references:
        try:
            episode = source.read(reference)
        except QsftError:
            continue
        assert {*episode.steps, *episode.episode} <= paths
        assert all(len(values) == episode.length for values in episode.steps.values())  # type: ignore[arg-type]


def test_the_files_before_they_are_mutated_are_read(folder: Path) -> None:
    read_everything(folder)
    source = RldsSource(folder)
    assert recognise(folder)
    assert [source.read(reference).length for reference in source.references()] == [2, 3]


@fuzzed(0.15, BATCH)
def test_mutated_shards(folder: Path, random: Random) -> None:
    read_everything(folder, shard=edited(SHARD, random))


@fuzzed(0.05, BATCH)
def test_mutated_compressed_shards(folder: Path, random: Random) -> None:
    inside, packed = edited(SHARD, random), edited(gzip.compress(SHARD, mtime=0), random)
    read_everything(folder, shard=packed if random.random() < 0.5 else gzip.compress(inside, mtime=0))


@fuzzed(0.35, BATCH)
def test_mutated_records_whose_checksums_are_right(folder: Path, random: Random) -> None:
    read_everything(folder, shard=b"".join(part for content in RECORDS for part in framed(edited(content, random))))


@fuzzed(0.15, BATCH)
def test_mutated_features_json(folder: Path, random: Random) -> None:
    read_everything(folder, features=edited(FEATURES_JSON, random))


@fuzzed(0.15, BATCH)
def test_features_json_with_other_values(folder: Path, random: Random) -> None:
    read_everything(folder, features=replaced(FEATURES_JSON, random))


@fuzzed(0.1, BATCH)
def test_mutated_dataset_info(folder: Path, random: Random) -> None:
    read_everything(folder, info=random.choice((edited, replaced))(INFO_JSON, random))


@fuzzed(0.05, BATCH)
def test_mutated_array_records(folder: Path, random: Random) -> None:
    content = bytearray(ARRAY_RECORD)
    for _ in range(random.randint(1, 4)):
        place = random.choice((random.randint(64, 700), random.randint(65536, 65700)))
        content[place] = random.choice((*NASTY, random.randrange(256)))
    if random.random() < 0.5:
        rehash(content)
    path = folder / "a.array_record"
    path.write_bytes(content)
    try:
        with ArrayRecordFile(path) as file:
            for chunk in file.chunks():
                for inside in range(min(chunk.n_records, 50)):
                    file.record(chunk, inside, inside)
    except QsftError:
        pass


VALUES = (None, True, -1, 0, 3, 2**40, -(2**70), 1e300, float("nan"), "", "-1", "3", "9" * 5000, "float32", "bfloat16")
VALUES += ("string", "zlib", "none", [], {}, [[]], ["-1", 2], {"dimensions": ["2", "-1"]}, {"tensor": {}}, "\0", "ü/..")


def places(node: object, path: tuple = ()) -> Iterator[tuple]:
    if path:
        yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(content: bytes, random: Random) -> bytes:
    """Return valid JSON in which one to three values are others, gone, or stand elsewhere too."""
    root = json.loads(content)
    for _ in range(random.randint(1, 3)):
        found = list(places(root))
        if not found:
            break
        *way, last = random.choice(found)
        node = root
        for key in way:
            node = node[key]
        if random.random() < 0.1:
            del node[last]
        elif random.random() < 0.2:
            other = root
            for key in random.choice(found):
                other = other[key]
            node[last] = json.loads(json.dumps(other))
        else:
            node[last] = deepcopy(random.choice(VALUES))
    return json.dumps(root).encode()


def rehash(content: bytearray) -> None:
    """Make the hashes of the chunks fit what stands in them now, so that a mutation gets through to the parser."""
    for offset in (64, 126, 205, 519, 65560):
        size = min(int.from_bytes(content[offset + 8 : offset + 16], "little"), 2000)
        inside = bytes(content[offset + 40 : offset + 40 + size])
        content[offset + 16 : offset + 24] = highway_hash(inside).to_bytes(8, "little")
        content[offset : offset + 8] = highway_hash(bytes(content[offset + 8 : offset + 40])).to_bytes(8, "little")
