"""TFRecord framing: every byte is covered by a checksum, and damage is named."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from qsft_datasets.rlds.tfrecord import TfrecordFile, framed
from vlm_qsft.errors import DatasetError

from .handmade import slow_tfrecord

RECORDS = [b"first", b"", b"third record" * 50, b"\x00" * 7]


def written(folder: Path, content: bytes) -> Path:
    path = folder / "a.tfrecord"
    path.write_bytes(content)
    return path


def read_all(path: Path) -> list[bytes]:
    with TfrecordFile(path) as file:
        return [file.record(place) for place in list(file.places())]


def test_frames_are_those_of_the_slow_encoder() -> None:
    assert b"".join(part for record in RECORDS for part in framed(record)) == slow_tfrecord(RECORDS)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zlib.compress], ids=["plain", "gzip", "zlib"])
def test_records_come_back_in_any_order(tmp_path: Path, compress) -> None:
    path = written(tmp_path, compress(slow_tfrecord(RECORDS)))
    with TfrecordFile(path) as file:
        places = list(file.places())
        assert [place.length for place in places] == [5, 0, 600, 7]
        for number in (3, 0, 2, 2, 1):
            assert file.record(places[number]) == RECORDS[number]


def test_a_gzip_file_of_several_members_is_read_through(tmp_path: Path) -> None:
    whole = slow_tfrecord(RECORDS)
    assert read_all(written(tmp_path, gzip.compress(whole[:40]) + gzip.compress(whole[40:]))) == RECORDS


def test_a_large_record_in_a_gzip_file_is_read_whole(tmp_path: Path) -> None:
    large = bytes(3_000_000) + b"end"
    path = written(tmp_path, gzip.compress(b"".join(framed(large))))
    assert path.stat().st_size < 10_000
    assert read_all(path) == [large]


@pytest.mark.parametrize("position", range(len(slow_tfrecord([b"abc"]))))
def test_every_flipped_bit_of_a_record_is_found(tmp_path: Path, position: int) -> None:
    whole = bytearray(slow_tfrecord([b"before", b"abc", b"after"]))
    whole[len(slow_tfrecord([b"before"])) + position] ^= 0x10
    path = written(tmp_path, bytes(whole))
    with TfrecordFile(path) as file:
        places = list(file.places())
        assert file.record(places[0]) == b"before"
        if places[1].damage:
            assert "length does not match" in places[1].damage
            assert len(places) == 2
        else:
            with pytest.raises(DatasetError, match=r"a\.tfrecord, record 1: its checksum \(CRC32C\) does not match"):
                file.record(places[1])
            assert file.record(places[2]) == b"after"


@pytest.mark.parametrize("left", range(1, len(slow_tfrecord([b"abc"]))))
def test_a_file_that_ends_within_a_record_says_so(tmp_path: Path, left: int) -> None:
    whole = slow_tfrecord([b"before"])
    with TfrecordFile(written(tmp_path, whole + slow_tfrecord([b"abc"])[:left])) as file:
        first, second = file.places()
        assert file.record(first) == b"before"
        assert "the file ends" in second.damage


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress], ids=["gzip", "zlib"])
def test_a_truncated_compressed_file_gives_what_is_whole_and_says_where_it_ends(tmp_path: Path, compress) -> None:
    import random

    noise = random.Random(0)
    records = [noise.randbytes(1000) for _ in range(5)]
    path = written(tmp_path, compress(slow_tfrecord(records))[:3000])
    with TfrecordFile(path) as file:
        places = list(file.places())
        assert [file.record(place) for place in places[:-1]] == records[: len(places) - 1]
        assert 1 < len(places) < 5
        assert "truncated" in places[-1].damage


def test_a_length_beyond_the_file_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    from .handmade import slow_masked

    length = (2**62).to_bytes(8, "little")
    with TfrecordFile(written(tmp_path, length + slow_masked(length) + b"abc")) as file:
        (place,) = file.places()
    assert place.damage == f"the file ends within its {2**62} bytes"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.tfrecord cannot be read"):
        TfrecordFile(tmp_path / "gone.tfrecord")


def test_an_empty_file_has_no_record(tmp_path: Path) -> None:
    assert read_all(written(tmp_path, b"")) == []
