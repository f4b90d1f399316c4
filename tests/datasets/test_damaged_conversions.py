"""Damaged logs through `qsft convert`: one clear error and nothing half-written, or skipped and counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from qsft_datasets.proposal import propose
from qsft_datasets.registry import find_source
from qsft_datasets.rlds.tfrecord import TfrecordFile
from qsft_datasets.rlds.writer import write_rlds
from qsft_datasets.sampling import sample_episodes
from vlm_qsft.cli.main import main
from vlm_qsft.data import DatasetReader, write_episodes

from ..data.scripted import LABELS, SCHEMA, scripted_episode
from .lerobot.made_sets import write_v2

EPISODES = 8


@pytest.fixture(scope="module")
def rlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight episodes in three shards or more."""
    folder = tmp_path_factory.mktemp("rlds")
    write_episodes(folder / "set", SCHEMA, list(range(EPISODES)), scripted_episode, labels=LABELS)
    write_rlds(folder / "set", folder / "logs", shard_bytes=4000)
    assert len(shards_of(folder / "logs")) >= 3
    return folder / "logs"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes with a video file each."""
    root = tmp_path_factory.mktemp("videos") / "logs"
    return write_v2(root, lengths=(6, 4, 5, 6), videos={"observation.images.front": "libx264"})


def shards_of(logs: Path) -> list[Path]:
    return sorted(logs.rglob("*.tfrecord-*"))


def records_of(shard: Path) -> int:
    return sum(1 for _ in TfrecordFile(shard).places())


def corrupt_record(logs: Path) -> str:
    """Change one byte of the first record of the second shard."""
    shard = shards_of(logs)[1]
    content = bytearray(shard.read_bytes())
    content[100] ^= 0x55
    shard.write_bytes(content)
    return f"{shard}, record 0: its checksum (CRC32C) does not match its content"


def missing_shard(logs: Path) -> str:
    shard = shards_of(logs)[-1]
    shard.unlink()
    return f"{shard} is missing"


def shard_cut_off(logs: Path) -> str:
    shard = shards_of(logs)[0]
    last = records_of(shard) - 1
    shard.write_bytes(shard.read_bytes()[:-20])
    return f"{shard}, record {last}: "


def truncated_video(logs: Path) -> str:
    video = sorted(logs.rglob("*.mp4"))[1]
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    return f"{video} holds no pictures"


def video_damaged_inside(logs: Path) -> str:
    video = sorted(logs.rglob("*.mp4"))[1]
    content = bytearray(video.read_bytes())
    # The first bytes are the encoder's name: pictures follow.
    begin = content.index(b"mdat") + 4
    end = begin - 8 + int.from_bytes(content[begin - 8 : begin - 4])
    content[end - 60 : end] = bytes(60)
    video.write_bytes(content)
    return f"{video} is damaged"


def missing_video(logs: Path) -> str:
    video = sorted(logs.rglob("*.mp4"))[1]
    video.unlink()
    return f"{video} is missing"


def missing_table(logs: Path) -> str:
    table = sorted(logs.glob("data/*/*.parquet"))[2]
    table.unlink()
    return f"{table} is missing"


def table_cut_off(logs: Path) -> str:
    table = sorted(logs.glob("data/*/*.parquet"))[2]
    table.write_bytes(table.read_bytes()[:-300])
    return f"{table} is truncated or damaged"


DAMAGES: list[tuple[str, Callable[[Path], str]]] = [
    *(("rlds", damage) for damage in (corrupt_record, missing_shard, shard_cut_off)),
    *(
        ("videos", damage)
        for damage in (truncated_video, video_damaged_inside, missing_video, missing_table, table_cut_off)
    ),
]


@pytest.mark.parametrize(("kind", "damage"), DAMAGES, ids=[damage.__name__ for _, damage in DAMAGES])
def test_damage_is_one_line_that_names_it_and_skipping_it_keeps_everything_else(
    kind: str,
    damage: Callable[[Path], str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(request.getfixturevalue(kind), logs)
    source = find_source(logs)
    text = propose(source.description, sample_episodes(source))
    for place, word in (("meaning", "delta"), ("open", "1"), ("closed", "0")):
        text = text.replace(f"{place}: decide", f"{place}: {word}")
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(text)
    n_whole = len(source.references())
    reason = damage(logs)
    n_references = len(find_source(logs).references())
    words = ["convert", str(logs), str(tmp_path / "set"), "--mapping", str(mapping), "--workers", "1"]
    words += ["--outcome", "assume-failure"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1
    assert not any((tmp_path / "set" / part).exists() for part in ("data", "videos", "meta"))

    assert main([*words, "--skip-bad"]) == 0
    out = capsys.readouterr().out
    assert f"{n_references} episodes in, {n_references - 1} out" in out and "1 refused" in out
    assert reason in out
    (refused,) = json.loads((tmp_path / "set/meta/refused.json").read_text())
    assert reason in refused["reason"]
    kept = set(DatasetReader(tmp_path / "set").episodes.attributes["source_key"])
    assert len(kept) == n_references - 1 <= n_whole - 1
    assert refused["episode"] not in kept
