"""FrameCache: equal to decoding, continued after an interruption, refused for other data, never on a full disk."""

from __future__ import annotations

import json
import resource
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from vlm_qsft.data import DatasetReader, FrameCache, LiveFrames, frame_cache, open_frames
from vlm_qsft.errors import DatasetError, StorageError
from vlm_qsft.images import resize

from .scripted import pictures_of

SIZE = (8, 12)


def build(reader: DatasetReader, path: Path, **settings) -> FrameCache:
    cache = FrameCache.build(reader, path, size=SIZE, **settings)
    assert cache is not None
    return cache


def test_cached_frames_are_the_resized_pictures(reader: DatasetReader, tmp_path: Path):
    cache = build(reader, tmp_path)
    assert cache.cameras == ("front", "wrist") and cache.size == SIZE
    frames = cache.gather(np.array([0, 24, 8]))
    assert frames.shape == (3, 2, 8, 12, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames[2, 0], resize(pictures_of(2, "front")[1], SIZE))
    np.testing.assert_array_equal(frames[2, 1], resize(pictures_of(2, "wrist")[1], SIZE))


def test_live_frames_are_the_same(reader: DatasetReader, tmp_path: Path):
    live = open_frames(reader, tmp_path / "cache", size=SIZE, max_bytes=1000)
    assert isinstance(live, LiveFrames) and not (tmp_path / "cache").exists()
    rows = np.arange(reader.n_frames)
    np.testing.assert_array_equal(live.gather(rows), build(reader, tmp_path).gather(rows))


def test_a_cache_that_fits_is_used(reader: DatasetReader, tmp_path: Path):
    assert isinstance(open_frames(reader, tmp_path, size=SIZE, max_bytes=10**6), FrameCache)


def test_an_interrupted_build_continues_and_repeats_nothing(reader, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frame_cache, "BLOCK_FRAMES", 4)

    def stop_after_three(complete: int, total: int) -> None:
        assert total == 7
        if complete == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(reader, tmp_path, progress=stop_after_three)
    with pytest.raises(DatasetError, match=r"no complete frame cache"):
        FrameCache.open(reader, tmp_path, size=SIZE)
    seen = []
    cache = build(reader, tmp_path, progress=lambda complete, total: seen.append((complete, total)))
    assert seen == [(4, 7), (5, 7), (6, 7), (7, 7)]
    rows = np.arange(reader.n_frames)
    np.testing.assert_array_equal(cache.gather(rows), LiveFrames(reader, cache.cameras, SIZE).gather(rows))


def test_a_complete_cache_is_taken_as_it_is(reader: DatasetReader, tmp_path: Path):
    build(reader, tmp_path)
    seen = []
    build(reader, tmp_path, progress=lambda *_: seen.append(1))
    assert seen == []
    assert FrameCache.open(reader, tmp_path, size=SIZE).size == SIZE


def test_a_cache_of_another_data_set_or_size_is_refused_and_rebuilt(reader: DatasetReader, tmp_path: Path):
    build(reader, tmp_path)
    with pytest.raises(DatasetError, match=r"no complete frame cache"):
        FrameCache.open(reader, tmp_path, size=(4, 4))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"fingerprint": "of another set"}))
    seen = []
    build(reader, tmp_path, progress=lambda *_: seen.append(1))
    assert seen == [1]


def test_a_full_disk_is_found_out_before_the_work_begins(reader: DatasetReader, tmp_path: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"could not be written.*free space"):
            build(reader, tmp_path, progress=lambda *_: pytest.fail("no block may be decoded"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "manifest.json").exists()
    assert (tmp_path / "frames.uint8").stat().st_size == 0


@pytest.mark.parametrize("name", ["frames.uint8", "blocks.bin", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut off", "deleted"])
def test_a_damaged_cache_is_made_again(reader: DatasetReader, tmp_path: Path, name: str, damage: str):
    rows = np.arange(reader.n_frames)
    whole = build(reader, tmp_path).gather(rows)
    if damage == "deleted":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"no complete frame cache"):
        FrameCache.open(reader, tmp_path, size=SIZE)
    np.testing.assert_array_equal(build(reader, tmp_path).gather(rows), whole)


def test_a_second_process_waits_and_decodes_nothing_again(reader: DatasetReader, tmp_path: Path):
    second: list[FrameCache] = []
    decoded: list[int] = []

    def begin_second(complete: int, total: int) -> None:
        other = threading.Thread(
            target=lambda: second.append(build(reader, tmp_path, progress=lambda *_: decoded.append(1)))
        )
        other.start()
        threads.append(other)

    threads: list[threading.Thread] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = build(reader, tmp_path, progress=begin_second)
        threads[0].join()
    rows = np.arange(reader.n_frames)
    np.testing.assert_array_equal(second[0].gather(rows), first.gather(rows))
    assert decoded == []
