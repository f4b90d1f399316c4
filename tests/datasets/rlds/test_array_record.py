"""array_record files: those that the package itself wrote, and damage in them."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.rlds import RldsSource
from qsft_datasets.rlds.array_record import ArrayRecordFile, ChunkPlace
from qsft_datasets.rlds.highway_hash import highway_hash
from qsft_datasets.rlds.riegeli import SIGNATURE, chunk_end
from vlm_qsft.errors import DatasetError

from .handmade import PLAIN_FEATURES, plain_record, write_folder

FILES = Path(__file__).parent / "files"
RECORDS = [bytes([number]) * size for number, size in enumerate((0, 1, 50, 3000, 70000, 200, 7))]
RECORDS.append(bytes(range(256)) * 20)


def unpacked(name: str, folder: Path) -> Path:
    path = folder / f"{name}.array_record"
    path.write_bytes(gzip.decompress((FILES / f"{name}.array_record.gz").read_bytes()))
    return path


def read_all(path: Path) -> list[bytes]:
    with ArrayRecordFile(path) as file:
        places = [(chunk, inside) for chunk in file.chunks() for inside in range(chunk.n_records)]
        return [file.record(chunk, inside, number) for number, (chunk, inside) in enumerate(places)]


def test_highway_hash_gives_the_hashes_that_riegeli_documents() -> None:
    whole = bytes.fromhex(
        "83af70d10d884a3f0000000000000000400000000000000091bac23c9287e1a9"
        "0000000000000000e19f13c0e9b1c37273000000000000000000000000000000"
    )
    assert whole.startswith(SIGNATURE)
    assert highway_hash(whole[8:24]).to_bytes(8, "little") == whole[:8]
    assert highway_hash(whole[32:64]).to_bytes(8, "little") == whole[24:32]
    assert highway_hash(b"").to_bytes(8, "little") == whole[40:48]


@pytest.mark.parametrize("name", ["tfds", "default", "brotli", "snappy", "uncompressed", "padded"])
def test_what_the_package_wrote_is_read(tmp_path: Path, name: str) -> None:
    assert read_all(unpacked(name, tmp_path)) == RECORDS


def test_a_transposed_chunk_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = unpacked("transposed", tmp_path)
    with pytest.raises(DatasetError, match=r"transposed\.array_record, record 0: .*without the option 'transpose'"):
        read_all(path)


@pytest.mark.parametrize("name", ["tfds", "brotli", "snappy", "uncompressed"])
def test_flipped_bits_are_found_wherever_something_is_stored(tmp_path: Path, name: str) -> None:
    path = unpacked(name, tmp_path)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    with ArrayRecordFile(path) as file:
        chunks = file.chunks()
    # The chunks, and the header of the index behind them; block headers are for seeking only.
    stored = [place for place in range(chunks[0].offset, chunks[-1].end + 40) if place % 65536 >= 24]
    for place in generator.choice(stored, 12, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << generator.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=f"{name}.array_record"):
            read_all(path)


@pytest.mark.parametrize("offset", [1, 16, 23, 65536 + 1, 65536 + 23])
def test_an_index_that_places_a_chunk_inside_the_header_of_a_block_is_refused(tmp_path: Path, offset: int) -> None:
    with (
        ArrayRecordFile(unpacked("tfds", tmp_path)) as file,
        pytest.raises(DatasetError, match=rf"record 7: offset {offset}: no chunk begins inside the header of a block"),
    ):
        file.record(ChunkPlace(offset, 131072, 1), 0, 7)


@pytest.mark.parametrize("left", [0, 63, 65535, 65536, 131071])
def test_a_truncated_file_is_named(tmp_path: Path, left: int) -> None:
    path = unpacked("tfds", tmp_path)
    assert path.stat().st_size == 131072
    os.truncate(path, left)
    with pytest.raises(DatasetError, match=r"tfds\.array_record is no whole array_record file"):
        read_all(path)


@pytest.mark.parametrize(
    ("offset", "size", "end"), [(64, 40, 104), (65520, 40, 65584), (65536, 40, 65600), (65500, 36, 65536)]
)
def test_block_headers_are_counted_where_a_chunk_crosses_them(offset: int, size: int, end: int) -> None:
    """A chunk that ends exactly at a block has no header behind it; one that begins there has it before itself."""
    assert chunk_end(offset, size) == end


def test_an_rlds_folder_of_array_records_is_a_source(tmp_path: Path) -> None:
    writer = pytest.importorskip(
        "array_record.python.array_record_module",
        reason="array_record is not installed: `make test-optional` runs this test",
    )
    info = {"name": "made", "fileFormat": "array_record", "splits": [{"name": "train", "shardLengths": ["3"]}]}
    write_folder(tmp_path, PLAIN_FEATURES, [], info=info)
    file = writer.ArrayRecordWriter(str(tmp_path / "made-train.array_record-00000-of-00001"), "group_size:1")
    for seed in range(3):
        file.write(plain_record(seed + 1, seed))
    file.close()
    source = RldsSource(tmp_path)
    assert [source.read(reference).length for reference in source.references()] == [1, 2, 3]


def test_the_records_of_a_damaged_array_record_are_lost_and_the_other_shards_stay(tmp_path: Path) -> None:
    info = {"name": "made", "fileFormat": "array_record", "splits": [{"name": "train", "shardLengths": ["8", "8"]}]}
    write_folder(tmp_path, PLAIN_FEATURES, [], info=info)
    first = tmp_path / "made-train.array_record-00000-of-00002"
    shutil.move(unpacked("tfds", tmp_path), first)
    shutil.copy(first, tmp_path / "made-train.array_record-00001-of-00002")
    os.truncate(first, 100_000)
    source = RldsSource(tmp_path)
    references = source.references()
    assert [bool(reference.lost) for reference in references] == [True] * 8 + [False] * 8
    with pytest.raises(DatasetError, match=r"00000-of-00002, record 0: .*8 of its 8 records are lost"):
        source.read(references[0])
