"""Damaged logs through `qsft convert`: one clear error and nothing half-written, or skipped and counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qsft_datasets.dataset_conversion import ConversionSettings, convert_dataset
from qsft_datasets.mapping import OutcomeMapping
from qsft_datasets.mapping_file import load_mapping
from qsft_datasets.proposal import propose
from qsft_datasets.registry import find_source
from qsft_datasets.rlds.tfrecord import TfrecordFile
from qsft_datasets.rlds.writer import write_rlds
from qsft_datasets.sampling import sample_episodes
from vlm_qsft.cli.main import main
from vlm_qsft.data import DatasetReader, write_episodes
from vlm_qsft.errors import DatasetError

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


def mapping_for(logs: Path, path: Path) -> Path:
    """Write the proposed mapping with every decision made."""
    source = find_source(logs)
    text = propose(source.description, sample_episodes(source))
    for place, word in (("meaning", "delta"), ("open", "1"), ("closed", "0")):
        text = text.replace(f"{place}: decide", f"{place}: {word}")
    path.write_text(text)
    return path


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
    mapping = mapping_for(logs, tmp_path / "mapping.yaml")
    n_whole = len(find_source(logs).references())
    reason = damage(logs)
    n_lost = max(1, sum(bool(reference.lost) for reference in find_source(logs).references()))
    words = ["convert", str(logs), str(tmp_path / "set"), "--mapping", str(mapping), "--workers", "1"]
    words += ["--outcome", "assume-failure"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1
    assert not any((tmp_path / "set" / part).exists() for part in ("data", "videos", "meta"))

    assert main([*words, "--skip-bad"]) == 0
    out = capsys.readouterr().out
    assert f"{n_whole} episodes in, {n_whole - n_lost} out" in out and f"{n_lost} refused" in out
    assert reason in out
    refused = json.loads((tmp_path / "set/meta/refused.json").read_text())
    assert [reason in entry["reason"] for entry in refused] == [True] * n_lost
    kept = set(DatasetReader(tmp_path / "set").episodes.attributes["source_key"])
    assert len(kept) == n_whole - n_lost
    assert not kept & {entry["episode"] for entry in refused}


@pytest.mark.parametrize(("kind", "damage"), [("videos", missing_video), ("videos", missing_table)])
def test_a_missing_file_is_refused_before_the_first_episode_is_converted(
    kind: str, damage: Callable[[Path], str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(request.getfixturevalue(kind), logs)
    mapping = mapping_for(logs, tmp_path / "mapping.yaml")
    damage(logs)
    target = tmp_path / "set"
    words = ["convert", str(logs), str(target), "--mapping", str(mapping), "--workers", "1"]
    assert main([*words, "--outcome", "assume-failure"]) == 2
    assert not target.exists()


def test_a_missing_video_of_a_camera_that_the_mapping_leaves_out_stops_nothing(videos: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(videos, logs)
    mapping = replace(
        load_mapping(mapping_for(logs, tmp_path / "mapping.yaml")),
        cameras=(),
        ignore={"observation.images.front": "not needed", "timestamp": "follows from the rate"},
        outcome=OutcomeMapping("assume-failure"),
    )
    missing_video(logs)
    summary = convert_dataset(find_source(logs), mapping, tmp_path / "set", settings=ConversionSettings())
    assert (summary.episodes_out, summary.refused) == (4, ())


def test_a_shard_that_is_put_back_is_converted_by_the_same_interrupted_command(rlds: Path, tmp_path: Path) -> None:
    logs, whole, target = tmp_path / "logs", tmp_path / "whole", tmp_path / "set"
    shutil.copytree(rlds, logs)
    mapping = replace(
        load_mapping(mapping_for(logs, tmp_path / "mapping.yaml")), outcome=OutcomeMapping("assume-failure")
    )
    settings = ConversionSettings(skip_bad=True)
    convert_dataset(find_source(logs), mapping, whole, settings=settings)
    shard = shards_of(logs)[0]
    content = shard.read_bytes()
    shard.unlink()

    def interrupted(complete: int, total: int) -> None:
        assert total == EPISODES
        if complete == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_dataset(find_source(logs), mapping, target, settings=settings, progress=interrupted)
    assert list((target / "staging").glob("refused-*.json"))
    shard.write_bytes(content)
    summary = convert_dataset(find_source(logs), mapping, target, settings=settings)
    assert (summary.episodes_out, summary.refused) == (EPISODES, ())
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert all((target / name).read_bytes() == (whole / name).read_bytes() for name in names)


def test_a_finalized_set_that_lacks_episodes_which_are_there_again_says_so(rlds: Path, tmp_path: Path) -> None:
    logs, target = tmp_path / "logs", tmp_path / "set"
    shutil.copytree(rlds, logs)
    mapping = replace(
        load_mapping(mapping_for(logs, tmp_path / "mapping.yaml")), outcome=OutcomeMapping("assume-failure")
    )
    settings = ConversionSettings(skip_bad=True)
    shard = shards_of(logs)[-1]
    content, n_records = shard.read_bytes(), records_of(shard)
    shard.unlink()
    for _ in range(2):  # the second call finds everything as it was
        summary = convert_dataset(find_source(logs), mapping, target, settings=settings)
        assert len(summary.refused) == n_records
    shard.write_bytes(content)
    reason = rf"finalized without {n_records} episodes, one of them '.*#0' \(.* is missing.*\), which can be read now"
    with pytest.raises(DatasetError, match=reason):
        convert_dataset(find_source(logs), mapping, target, settings=settings)
